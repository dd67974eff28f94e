"""Memory embeddings between segments: HMT, and RMT as its special case."""

import pytest

torch = pytest.importorskip("torch")

from definitions import OTHERS, by_row  # noqa: E402
from promises import small, tokens  # noqa: E402

from mnemic.errors import InputError  # noqa: E402
from mnemic.neural import registry  # noqa: E402
from mnemic.neural.layers.segment import SegmentMemory  # noqa: E402


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("chunk", "recall", "sensory"), [(2, 3, 2), (4, 1, 3), (3, 9, 0), (5, 0, 2)])
def test_segments_are_what_they_are_defined_as(chunk, recall, sensory):
    layer, x = small("hmt", chunk=chunk, recall=recall, sensory=sensory), tokens(17)
    close(layer(x)[0], OTHERS["hmt"](layer, x))


def test_hmt_without_recall_and_sensory_memory_is_rmt():
    x = tokens(13)
    hmt = small("hmt", chunk=4, recall=0, sensory=0)
    rmt = small("rmt", chunk=4, slots=1)
    close(hmt(x)[0], rmt(x)[0], 0)
    assert type(hmt) is type(rmt)


@by_row
def recurrent(layer, x):
    """RMT by itself: memory tokens before and behind a segment, of which those behind are handed on."""
    memory, rows = layer.first, []
    for text in x.split(layer.chunk):
        read = torch.cat((memory, text, memory))[None]
        out = layer.decoder(read, torch.ones(read.shape[:2], dtype=torch.bool))[0]
        rows.append(out[len(memory) : -len(memory)])
        memory = out[-len(memory) :]
    return torch.cat(rows)


@pytest.mark.parametrize("slots", [1, 3])
def test_rmt_is_its_own_recurrence(slots):
    layer, x = small("rmt", slots=slots), tokens(14)
    close(layer(x)[0], recurrent(layer, x))


def test_the_queue_forgets_the_oldest_and_is_never_too_long():
    layer, state, made = small("hmt", recall=3), None, []
    for n in range(6):
        _, state, _ = layer(tokens(2, seed=n), state)
        made.append(state["queue"][:, -1])
        assert state["queue"].shape == (2, 3, 8)
        assert int(state["queued"][0].sum()) == min(3, n + 1)
    close(state["queue"], torch.stack(made[-3:], 1), 0)


def test_the_published_form_tells_the_first_tokens_of_later_ones():
    x = tokens(12).requires_grad_()
    for causal in (True, False):
        layer = small("hmt", chunk=4, causal=causal)
        # the third segment is the first that has two embeddings to choose from
        (gradient,) = torch.autograd.grad(layer(x)[0][:, 8].sum(), x)
        assert bool(gradient[:, 9].any()) is not causal
        assert not gradient[:, 10:].any()  # half a segment is summarised


@by_row
def published(layer, x):
    def read(*parts, unseen=slice(0)):
        text = torch.cat(parts)[None]
        there = torch.ones(text.shape[:2], dtype=torch.bool)
        there[:, unseen] = False
        return layer.decoder(text, there)[0]

    queue, sensory, rows = [], 0 * x[: layer.sensory], []
    for n, text in enumerate(x.split(layer.chunk)):
        half = text[: layer.chunk // 2]
        prompt = layer.first
        if queue:
            q = layer.q(read(layer.summary, half, layer.summary)[-1])
            weights = torch.softmax(torch.stack([q @ layer.k(m) for m in queue]) / 8**0.5, 0)
            prompt = sum(w * m for w, m in zip(weights, queue, strict=True))[None]
        unseen = slice(1, 1 + layer.sensory) if n == 0 else slice(0)
        out = read(prompt, sensory, text, prompt, unseen=unseen)
        rows.append(out[1 + layer.sensory : -1])
        queue = [*queue, out[-1]][-layer.recalled :]
        sensory = text[-layer.sensory :]
    return torch.cat(rows)


def test_the_published_form_is_what_it_is_defined_as():
    layer, x = small("hmt", chunk=4, causal=False), tokens(15)
    close(layer(x)[0], published(layer, x))
    first, state, _ = layer(x[:, :8])
    close(torch.cat((first, layer(x[:, 8:], state)[0]), 1), layer(x)[0])
    _, state, _ = layer(x[:, :6])
    with pytest.raises(InputError, match="give whole chunks"):
        layer(x[:, 6:], state)


def test_a_decoder_may_be_given():
    class Running(torch.nn.Module):
        """The mean of what is there so far."""

        def forward(self, x, there):
            there = there[..., None].to(x.dtype)
            return (x * there).cumsum(1) / there.cumsum(1).clamp_min(1)

    layer, x = registry.make("hmt", 8, chunk=3, recall=2, sensory=1, decoder=Running()).double(), tokens(11)
    close(layer(x)[0], OTHERS["hmt"](layer, x))
    assert not [name for name, _ in layer.named_parameters() if name.startswith("decoder")]


def test_the_last_tokens_of_a_segment_are_seen_by_the_next():
    x = tokens(4).requires_grad_()
    layer = small("hmt", chunk=2, sensory=1)
    _, state, _ = layer(x[:, :2])
    assert torch.equal(state["sensory"], x[:, 1:2])
    assert torch.equal(state["sensed"], torch.ones(2, 1, dtype=torch.bool))


def test_a_segment_of_padding_alone_hands_nothing_on():
    layer, x = small("hmt"), tokens(4)
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[0, 2:] = False
    _, before, _ = layer(x[:, :2])
    _, after, _ = layer(x, mask=mask)
    for name in ("queue", "prompt", "sensory"):
        assert torch.equal(after[name][0], before[name][0]), name
        assert not torch.equal(after[name][1], before[name][1]), name


def test_settings_that_make_no_segments_are_refused():
    for settings, why in (
        ({"slots": 2}, "slots=1"),
        ({"sensory": 9, "chunk": 8}, "sensory at most a chunk"),
        ({"causal": False, "recall": 0}, "nothing is read ahead"),
    ):
        with pytest.raises(InputError, match=why):
            SegmentMemory(8, **{"heads": 2, **settings})
