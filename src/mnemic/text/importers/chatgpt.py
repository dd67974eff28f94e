"""ChatGPT data export: the zip as downloaded, or the ``conversations.json`` in it (since 2025 also numbered parts).

A conversation is a tree of messages; what was read is the branch from the root to ``current_node``. Messages of
the user and the assistant are imported; hidden ones, tool calls, tool output and reasoning are skipped and counted.
Times are epoch seconds; a message without one gets the time of the message before it, else the conversation's.
The title is left out of ``meta`` because it changes between exports and would make old turns new ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnemic.text.importers.source import fail, head, is_zip, json_items, occurrences, plain_name
from mnemic.text.importers.turns import Tally, finish, mapping, moment, name, sequence, string
from mnemic.text.record import Turn

MEMBER = re.compile(r"conversations(?:-\d+)?\.json")
WHAT = "conversations.json"
_INTERNAL = {"thoughts", "reasoning_recap", "user_editable_context", "model_editable_context", "system_error"}
_CITATION = re.compile("\ue200[^\ue201]{0,2000}\ue201|[\ue200-\ue206]")


def sniff(path: Path) -> bool:
    """Whether the file begins like a ChatGPT export."""
    text = head(path, MEMBER, WHAT)
    return text.lstrip()[:1] in ("[", "{") and re.search(r'"mapping"\s*:\s*\{', text) is not None


def count(path: Path) -> int | None:
    """About how many messages there are, tool messages included."""
    return occurrences(path, b'"author"', MEMBER, WHAT)


def read(path: Path, *, tally: Tally | None = None) -> Iterator[Turn]:
    """The turns of every conversation; ``session`` is the conversation's id."""
    tally = Tally() if tally is None else tally
    source = WHAT if is_zip(path) else plain_name(path)
    yield from finish(_turns(path, tally), "chatgpt", source, tally)


def _turns(path: Path, tally: Tally) -> Iterator[Turn]:
    known = other = 0
    for item in json_items(path, MEMBER, WHAT):
        if isinstance(item, dict) and isinstance(item.get("mapping"), dict):
            known += 1
            yield from _conversation(item, tally)
        else:
            other += 1
            tally.skip("no conversation")
    if other and not known:
        raise fail(path, "", "no ChatGPT conversation is in it", "check the format, or name another one")


def _conversation(item: dict[str, Any], tally: Tally) -> Iterator[Turn]:
    started = moment(item.get("create_time"))
    key = name(item.get("conversation_id")) or name(item.get("id"))
    session = key or f"{name(item.get('title')) or 'untitled'} {started.isoformat() if started else ''}"
    before = started
    for node, message in _branch(item["mapping"], item.get("current_node")):
        role = name(mapping(message.get("author")).get("role"))
        meta = mapping(message.get("metadata"))
        content = mapping(message.get("content"))
        if role not in ("user", "assistant"):
            tally.skip(role if role in ("system", "tool") else "no role")
            continue
        if meta.get("is_visually_hidden_from_conversation") is True or name(content.get("content_type")) in _INTERNAL:
            tally.skip("hidden")
            continue
        if (name(message.get("recipient")) or "all") != "all":
            tally.skip("tool call")
            continue
        text, caption = _text(content)
        before = at = moment(message.get("create_time")) or before
        files = [n for a in sequence(meta.get("attachments")) if (n := name(mapping(a).get("name")))]
        ids = {"conversation": session, "message": name(message.get("id")) or node}
        model = name(meta.get("model_slug")) if role == "assistant" else ""
        yield Turn(
            text=text or caption,
            at=at,
            session=session,
            role=role,
            caption=caption if text else None,
            id=f"chatgpt:{session}:{ids['message']}",
            meta=ids | ({"model": model} if model else {}) | ({"attachments": files} if files else {}),
        )


def _branch(nodes: dict[str, Any], current: Any) -> list[tuple[str, dict[str, Any]]]:
    """The messages from the root to ``current``, or to the newest leaf where that node is missing."""
    if not isinstance(current, str) or current not in nodes:
        parents = {p for n in nodes.values() if isinstance(p := mapping(n).get("parent"), str)}
        leaves = [key for key in nodes if key not in parents] or list(nodes)
        current = max(leaves, key=lambda key: _time(nodes[key]), default=None)
    chain: list[tuple[str, dict[str, Any]]] = []
    passed: set[str] = set()
    while isinstance(current, str) and current in nodes and current not in passed:
        passed.add(current)
        node = mapping(nodes[current])
        if isinstance(message := node.get("message"), dict):
            chain.append((current, message))
        current = node.get("parent")
    return chain[::-1]


def _time(node: Any) -> float:
    at = moment(mapping(mapping(node).get("message")).get("create_time"))
    return at.timestamp() if at else float("-inf")


def _text(content: dict[str, Any]) -> tuple[str, str]:
    """The words of a message and the descriptions of its pictures."""
    words, pictures = [], []
    for part in sequence(content.get("parts")) or [content]:
        if isinstance(part, str):
            words.append(part)
            continue
        part = mapping(part)
        made = mapping(mapping(part.get("metadata")).get("dalle"))
        pictures += [t for t in (string(part.get("caption")), string(part.get("alt")), string(made.get("prompt"))) if t]
        words.append(string(part.get("text")))
    return "\n\n".join(t for w in words if (t := _CITATION.sub("", w).strip())), "; ".join(dict.fromkeys(pictures))
