"""Models that can be taught: losses and completions against the plain way, and what study does."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from mnemic.bench import metrics  # noqa: E402
from mnemic.bench.learners import BEGIN, Characters, HuggingFace, pretrained  # noqa: E402
from mnemic.bench.orhan import AWAY, Condition, Examination, examine  # noqa: E402
from mnemic.bench.stimuli import generated, sentences  # noqa: E402
from mnemic.errors import InputError, ModelError  # noqa: E402

TEXTS = ["the old baker", "a café", "sold it before the storm because an old debt was due"]


@pytest.fixture
def tiny() -> Characters:
    return Characters(0, width=24, background=0)


@pytest.fixture
def llama() -> HuggingFace:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = sorted({word for text in TEXTS for word in text.split()})
    model = tokenizers.models.WordLevel({word: n for n, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words) + 1, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    network = transformers.LlamaForCausalLM(config)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    return HuggingFace(network, fast, name="llama", rate=1e-2, batch=2)


@pytest.fixture(params=["tiny", "llama"])
def learner(request: pytest.FixtureRequest) -> Characters | HuggingFace:
    found: Characters | HuggingFace = request.getfixturevalue(request.param)
    return found


def plain_loss(learner: Characters | HuggingFace, text: str) -> float:
    """Token by token, the whole text before it read anew each time, alone and without padding."""
    ids = learner.started(learner.encode(text))
    total = 0.0
    for at in range(1, len(ids)):
        before = torch.tensor([ids[:at]])
        with torch.no_grad():
            logits = learner.logits(before, torch.ones_like(before))[0, -1]
        total -= float(logits.log_softmax(-1)[ids[at]])
    return total / (len(ids) - 1)


def test_losses_in_a_batch_are_those_of_each_text_alone(learner: Characters | HuggingFace):
    assert learner.losses(TEXTS) == pytest.approx([plain_loss(learner, text) for text in TEXTS], abs=1e-5)


def test_completions_are_the_likeliest_tokens_one_by_one(learner: Characters | HuggingFace):
    learner.network.eval()
    prefix = learner.encode(TEXTS[0])
    expected = list(prefix)
    for _ in range(6):
        ids = torch.tensor([learner.started(expected)])
        with torch.no_grad():
            expected.append(int(learner.logits(ids, torch.ones_like(ids))[0, -1].argmax()))
    assert learner.complete(prefix, 6) == expected[len(prefix) :]
    assert learner.complete(prefix, 0) == []


def test_study_lowers_the_loss_of_a_copy_only(learner: Characters | HuggingFace):
    before = learner.losses(TEXTS)
    student = learner.fresh()
    student.study(TEXTS, 30)
    assert metrics.mean(student.losses(TEXTS)) < metrics.mean(before) - 0.1
    assert learner.losses(TEXTS) == before
    with pytest.raises(InputError, match="has studied already"):
        student.fresh()


def test_two_short_studies_are_one_long_one(learner: Characters | HuggingFace):
    short, long = learner.fresh(), learner.fresh()
    short.study(TEXTS, 2)
    short.losses(TEXTS)
    short.study(TEXTS, 3)
    long.study(TEXTS, 5)
    assert short.losses(TEXTS) == long.losses(TEXTS)


def test_a_model_learns_to_recite(learner: Characters | HuggingFace):
    student = learner.fresh()
    student.rate, text = 2e-2, "sold it before the storm"
    student.study([text], 80)
    ids = student.encode(text)
    half = len(ids) // 2
    assert student.decode([*ids[:half], *student.complete(ids[:half], len(ids) - half)]) == text


def test_characters_are_bytes_and_seeds_are_models():
    ours, same, other = (Characters(seed, width=4, background=3, passes=1) for seed in (1, 1, 2))
    assert ours.decode(ours.encode("naïve ‘é’")) == "naïve ‘é’"
    assert ours.losses(TEXTS) == same.losses(TEXTS) != other.losses(TEXTS)
    assert ours.started([5]) == [BEGIN, 5]
    assert ours.about["background"] == 3
    # An untaught model knows nothing: about ln 256 nats a byte.
    assert Characters(0, width=4, background=0).losses(["abcabc"])[0] == pytest.approx(math.log(256), abs=0.5)


def test_making_a_model_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Characters(1, width=4, background=2, passes=1)
    assert torch.equal(torch.rand(3), expected)


def test_what_cannot_be_learnt_is_refused(llama: HuggingFace):
    with pytest.raises(InputError, match="fewer than two tokens"):
        llama.losses(["baker"])
    with pytest.raises(InputError, match="empty text"):
        llama.complete([], 3)
    with pytest.raises(InputError, match="rate above 0"):
        Characters(rate=0.0, background=0)


def test_a_folder_without_a_model_is_refused(tmp_path: object):
    pytest.importorskip("transformers")
    with pytest.raises(ModelError, match="check the path"):
        pretrained(str(tmp_path))


def test_a_model_is_loaded_from_its_folder(llama: HuggingFace, tmp_path: object):
    llama.network.save_pretrained(tmp_path)
    llama.tokenizer.save_pretrained(tmp_path)
    again = pretrained(str(tmp_path), batch=4)
    assert again.losses(TEXTS) == pytest.approx(llama.losses(TEXTS), abs=1e-6)
    assert (again.rate, again.batch) == (1e-5, 4)


@pytest.mark.slow
def test_a_small_model_recognises_what_it_studied_and_nothing_else():
    """64 natural pairs: chance before study (within 2.4 standard errors), clearly above it after."""
    model = Characters(0, width=64, background=320, passes=1, rate=4e-3)
    examination = Examination(64, (0, 12), (), ("natural",))
    trials = examine(model, generated("natural", 64), examination, distractors=sentences(1, AWAY))
    scores = {
        condition: metrics.mean([t.values["recognition"] for t in trials if t.condition == condition])
        for condition in examination.conditions
    }
    assert abs(scores[Condition(0)] - 0.5) < 0.15
    assert scores[Condition(12)] > 0.7
