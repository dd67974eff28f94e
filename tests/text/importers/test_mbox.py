import base64
import time
from datetime import UTC, datetime

import pytest

from mnemic.errors import InputError
from mnemic.text import importers
from mnemic.text.importers import Tally, mbox
from mnemic.text.importers.mbox import cut

BOX = """From ann@x.org Mon May  8 13:56:00 2023
Message-ID: <root@x>
From: =?utf-8?q?Ann_L=C3=A9e?= <ann@x.org>
Subject: =?utf-8?b?{subject}?=
Date: Mon, 08 May 2023 13:56:00 +0200
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: text/html; charset=utf-8

<p>not this</p>
--B
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

The caf=E9 opens at nine.
>From here on it is easy.
--=20
Ann
Phone 1
--B
Content-Type: application/pdf; name=menu.pdf
Content-Disposition: attachment; filename="menu.pdf"

xx
--B--

From bob@x.org Mon May  8 14:56:00 2023
Message-ID: <leaf@x>
In-Reply-To: <middle@x>
From: bob@x.org
Subject: Re: Lunch
Date: Mon, 08 May 2023 15:00:00 -0000
Content-Type: text/html

<html><style>p {{}}</style><body><p>See&nbsp;you <b>there</b>.</p><p>Bob</p></body></html>

From carl Mon May  8 14:56:00 2023
Message-ID: <middle@x>
References: <root@x>
From: "Carl" <c@x>
Subject: Re: Lunch
Date: not a date

Sure!

On Mon, 8 May 2023 at 13:56, Ann Lee
<ann@x.org> wrote:
> The caf\u00e9 opens at nine.
> --
> Ann
"""


def box(path, text=BOX):
    subject = base64.b64encode("Lunch ☕".encode()).decode()
    path.write_bytes(text.format(subject=subject).encode("utf-8"))
    return path


def test_bodies_headers_threads(tmp_path):
    path = box(tmp_path / "all.mbox")
    before = path.read_bytes()
    assert importers.detect(path) == "mbox"
    ann, bob, carl = importers.read(path)
    assert ann.text == "Lunch ☕\n\nThe café opens at nine.\nFrom here on it is easy."
    assert ann.speaker == "Ann Lée"
    assert ann.at.isoformat() == "2023-05-08T13:56:00+02:00"
    assert ann.meta == {
        "source": "mbox:all.mbox", "message_id": "root@x", "thread": "root@x", "address": "ann@x.org",
        "attachments": ["menu.pdf"], "signature": "Ann\nPhone 1",
    }  # fmt: skip
    assert (bob.text, bob.speaker) == ("Re: Lunch\n\nSee\u00a0you there.\n\nBob".replace("\u00a0", " "), "bob@x.org")
    assert bob.at == datetime(2023, 5, 8, 15, tzinfo=UTC)
    assert (carl.text, carl.at, carl.meta["quoted_lines"]) == ("Re: Lunch\n\nSure!", None, 3)
    assert {t.session for t in (ann, bob, carl)} == {"root@x"}  # the parent of bob's comes after it in the file
    assert [t.id for t in (ann, bob, carl)] == ["mbox:root@x", "mbox:leaf@x", "mbox:middle@x"]
    assert path.read_bytes() == before


def test_copies_of_a_message_and_messages_without_id(tmp_path):
    path = tmp_path / "m.mbox"
    one = "From a\nMessage-ID: <1@x>\nFrom: A <a@x>\nSubject: s\n\n{}\n\n"
    path.write_text(one.format("same") * 2 + one.format("other") + "From b\nFrom: B <b@x>\n\nno id\n\n" * 2)
    tally = Tally()
    turns = list(importers.read(path, tally=tally))
    assert [t.id for t in turns][:2] == ["mbox:1@x", "mbox:1@x~2"]
    assert len({t.id for t in turns}) == 4
    assert turns[2].session is None
    assert dict(tally.skipped) == {"repeated": 1}


def test_reference_circles_end(tmp_path):
    path = tmp_path / "m.mbox"
    path.write_text("".join(f"From a\nMessage-ID: <{a}>\nIn-Reply-To: <{b}>\n\ntext {a}\n\n" for a, b in ("xy", "yx")))
    assert [t.session for t in importers.read(path)] == ["x", "x"]


def test_broken_messages_do_not_stop_the_others(tmp_path):
    path = tmp_path / "m.mbox"
    path.write_bytes(
        b"From a\nSubject: =?utf-8?b?!!!?=\nFrom: =?bad?q?x?= <\nDate: 99\nContent-Type: text/plain; charset=nope\n\n"
        b"h\xe9\n\nFrom a\nContent-Type: text/html\n\n<![if x]>fine<!\n\nFrom a\nSubject: ok\n\nlast\n"
    )
    assert [t.text.split()[-1] for t in importers.read(path)][-1] == "last"
    assert "hé" in next(importers.read(path)).text


@pytest.mark.parametrize(
    ("body", "kept", "quoted", "signature"),
    [
        ("a\n> q\nb", "a\n> q\nb", 0, ""),
        ("a\n\nOn Monday x wrote:\n> q\n>> r\n\n", "a", 2, ""),
        ("a\n\nAm 8. Mai 2023 schrieb Ann:\n> q", "a", 1, ""),
        ("> only\n> quotes", "> only\n> quotes", 0, ""),
        ("> q\n\nmine\n-- \nMe", "> q\n\nmine", 0, "Me"),
        ("mine\n-- \nMe\n\nOn Monday x wrote:\n> q", "mine", 1, "Me"),
        ("mine\n\n-----Original Message-----\nFrom: x\nold", "mine", 3, ""),
        ("a\n--\n" + "b\n" * 20, "a\n--\n" + "b\n" * 19 + "b", 0, ""),
    ],
)
def test_cut(body, kept, quoted, signature):
    assert cut(body) == (kept, quoted, signature)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.mbox").write_text("Hello")
    with pytest.raises(InputError, match=r"a\.mbox, line 1: an mbox file begins"):
        list(importers.read(tmp_path / "a.mbox"))


@pytest.mark.parametrize(
    ("page", "seen"),
    [
        ("<title>no</title><h1>A</h1>b<br>c &amp; d<script>if (a < b) x()</script> e", "A\nb\nc & d e"),
        ("a<!-- <p>no</p> --> b <!-- open", "a b"),
        ("1 < 2 and 3 > 2 <b", "1 < 2 and 3 > 2 <b"),
        ("<p>a</p>\n\n<p>b\n  c</p><div></div><div></div>", "a\n\nb c"),
    ],
)
def test_html_is_reduced_to_its_words(page, seen):
    assert mbox._words(page) == seen


@pytest.mark.parametrize("broken", ["<", "<!--", "<a ", "<a b='", "&#", "<script", "</"])
def test_broken_pages_take_linear_time(broken):
    began = time.process_time()
    mbox._words(broken * 200_000)
    assert time.process_time() - began < 5  # quadratic would be hours
