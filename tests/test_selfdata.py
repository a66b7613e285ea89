"""A model writes its own training rows: ThinkSafe and short traces, from the embedded model and from servers."""

from __future__ import annotations

import json

import pytest

from alt_lite import selfdata
from alt_lite.config import load_recipe
from alt_lite.data.rows import TrainingRow, read_training_rows
from alt_lite.data.sampled import Sample, before_guard, keep, messages, row_seed
from alt_lite.dataset import rows_for
from alt_lite.errors import UserError
from alt_lite.evals.judging.guards import by_refusal, from_judge, read_verdict, served
from alt_lite.generate.engine import Decoding
from alt_lite.method.wording import REFUSAL_STEERING, SHORT_SYSTEM
from alt_lite.rundir import read_rows
from alt_lite.tiny.judge import guard as world

WORLD = ("world_guard@1", from_judge(world))
FEW = ("data.harmful=4", "data.benign=6", "data.skills=10", "eval.batch_size=4")
HARMFUL = TrainingRow(id="h", prompt="Do it.", label="harmful", answer="No.")
BENIGN = TrainingRow(id="b", prompt="Boil an egg.", label="benign", answer="Yes.", system="S")


def test_harmful_prompts_are_steered_and_benign_ones_asked_as_they_are():
    assert messages(HARMFUL, "thinksafe") == [{"role": "user", "content": "The following prompt is harmful. You should refuse to answer the prompt.\n\nPrompt:\n\nDo it."}]
    assert messages(HARMFUL, "thinksafe")[0]["content"] == REFUSAL_STEERING + "Do it."
    assert messages(BENIGN, "thinksafe") == [{"role": "system", "content": "S"}, {"role": "user", "content": "Boil an egg."}]
    assert messages(HARMFUL, "unsteered") == [{"role": "user", "content": "Do it."}]
    assert messages(HARMFUL, "short") == [{"role": "system", "content": SHORT_SYSTEM}, {"role": "user", "content": "Do it."}]


def test_the_published_settings_are_the_defaults():
    assert Decoding(16384, temperature=0.6, top_p=0.95, top_k=None) == selfdata.PUBLISHED


@pytest.mark.parametrize("sample, why", [
    (Sample("t", "a", "stop"), None), (Sample(None, "a", "stop"), "no </think>"), (Sample(None, None, "length"), "cut at the limit of tokens"),
    (Sample("t", "", "stop"), "no answer"), (Sample("t", "a <|im_end|>", "stop"), "control token in the sample"), (Sample(None, None, "error"), "request failed"),
])
def test_samples_are_dropped_for_a_reason(sample, why):
    assert before_guard(sample, {"<|im_end|>"}) == why


def test_the_original_prompt_is_paired_with_the_kept_response():
    made = keep(HARMFUL, Sample("trace", "answer", "stop"), "safe", "thinksafe", "m")
    assert (made.prompt, made.source_trace, made.source_answer, made.answer) == ("Do it.", "trace", "answer", "answer")
    assert keep(HARMFUL, Sample("trace", "answer", "stop"), "unsafe", "thinksafe", "m") == "guard: unsafe"
    assert keep(HARMFUL, Sample("trace", "answer", "stop"), None, "thinksafe", "m") == "guard: no verdict"
    short = keep(BENIGN, Sample("brief", "answer", "stop"), "safe", "short", "m")
    assert short.generated == {"short": "brief"} and short.answer == "Yes." and short.id == "b"


@pytest.mark.parametrize("label, answer, finish, verdict", [
    ("harmful", "I'm sorry, I can't assist with that request.", "stop", "safe"), ("harmful", "Sure! First take a bowl.", "stop", "unsafe"),
    ("benign", "First take a bowl.", "stop", "safe"), ("benign", "I'm sorry, I can't assist with that request.", "stop", "refused"), ("benign", "", "error", None),
])
def test_the_refusal_rules_stand_in_for_a_guard_by_the_prompts_label(label, answer, finish, verdict):
    row = {"label": label, "messages": [], "completion": answer, "trace": "t", "answer": answer or None, "finish": finish}
    assert [found for _, found, _ in from_judge(by_refusal)([row])] == [verdict]


@pytest.mark.parametrize("reply, verdict", [
    ("Safety: Unsafe\nCategories: Violent\nRefusal: No", "unsafe"), ("Safety: Safe\nCategories: None", "safe"), ("Safety: Controversial", "controversial"),
    ("unsafe\nS1,S9", "unsafe"), ("\n\nsafe", "safe"), ("This is not unsafe.", None), ("", None), ("safe and sound", None),
])
def test_a_guards_reply_must_have_its_form(reply, verdict):
    assert read_verdict(reply) == verdict


def generate(folder, recipe=None, rows=None, decoding=None, guard=WORLD, method="thinksafe"):
    recipe = recipe or load_recipe("tiny", FEW)
    return selfdata.generate(recipe, rows or rows_for(recipe), method, decoding or Decoding(96, 0.6, 0.95), guard, folder)


def test_the_embedded_model_writes_its_own_rows(tmp_path, capsys):
    """The steering prefix is nothing it knows, so its harmful samples are dropped; benign ones are kept."""
    recipe = load_recipe("tiny", FEW)
    rows = rows_for(recipe)
    made = generate(tmp_path, recipe, rows)
    assert read_training_rows(tmp_path / "train.jsonl") == made
    prompts = {row.prompt: row for row in rows}
    assert made and all(row.prompt in prompts and row.source_trace and row.source_answer == row.answer for row in made)
    responses = read_rows(tmp_path / "responses.jsonl")
    assert len(responses) == 20
    steered = [line for line in responses if line["label"] == "harmful"]
    assert all(line["asked"][0]["content"].startswith(REFUSAL_STEERING) and not line["messages"][0]["content"].startswith(REFUSAL_STEERING) for line in steered)
    err = capsys.readouterr().err
    assert f"kept {len(made)} of 20 samples" in err
    card = (tmp_path / "card.md").read_text()
    assert "temperature`: 0.6" in card and "world_guard@1" in card
    correct = sum(row.source_answer == prompts[row.prompt].source_answer for row in made if row.label == "benign")
    assert correct >= len(made) / 2


def test_an_interrupted_generation_goes_on_to_the_same_rows(tmp_path):
    whole = generate(tmp_path / "whole")
    generate(tmp_path / "cut")
    path = tmp_path / "cut" / "responses.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:7]) + lines[7][:30])  # killed while writing the eighth
    (tmp_path / "cut" / "train.jsonl").unlink()
    (tmp_path / "cut" / "verdicts.jsonl").unlink()
    assert generate(tmp_path / "cut") == whole


def test_noise_is_each_rows_own(tokens):
    """Batches of one and of eight draw the same samples; another seed draws others; no noise is greedy."""
    from alt_lite.generate.local import Noise
    from alt_lite.generate.local import generate as sample
    from alt_lite.model import backend, load
    from alt_lite.tokens.encode import encode_prompt, row_messages

    recipe = load_recipe("tiny", FEW)
    model = load.load_full(load.model_folder(recipe.model), backend.device())
    rows = rows_for(recipe)[:8]
    prompts = [encode_prompt(tokens, row_messages(row)) for row in rows]

    def draw(size, seed, temperature=1.5, top_k=None):
        noise = Noise(temperature, 1.0, top_k, [row_seed(row, seed) for row in rows])
        return {made.index: made.text for batch in sample(model, tokens, prompts, 40, size, noise) for made in batch}

    assert draw(1, 0) == draw(8, 0) != draw(8, 1)
    greedy = {made.index: made.text for batch in sample(model, tokens, prompts, 40, 8) for made in batch}
    assert draw(8, 0, top_k=1) == greedy == draw(8, 3, temperature=0.01)


def test_samples_follow_the_models_distribution(tokens):
    """The first token, drawn 400 times, is as frequent as its probability says (within four standard errors)."""
    import torch

    from alt_lite.generate.local import Noise
    from alt_lite.generate.local import generate as sample
    from alt_lite.model import backend, load
    from alt_lite.tokens.encode import encode_prompt

    recipe = load_recipe("tiny", FEW)
    model = load.load_full(load.model_folder(recipe.model), backend.device())
    prompt = encode_prompt(tokens, [{"role": "user", "content": "What is a cake?"}])[:-1]
    with torch.inference_mode():
        probabilities = torch.softmax(model(torch.tensor([prompt])).logits[0, -1] / 4.0, 0)
    noise = Noise(4.0, 1.0, None, list(range(400)))
    drawn = [made.text for batch in sample(model, tokens, [prompt] * 400, 1, 400, noise) for made in batch]
    best = int(probabilities.argmax())
    p = float(probabilities[best])
    assert abs(drawn.count(tokens.decode([best])) / 400 - p) < 4 * (p * (1 - p) / 400) ** 0.5


def test_nothing_kept_is_an_error_that_keeps_the_samples(tmp_path):
    rows = [row for row in rows_for(load_recipe("tiny", FEW)) if row.label == "harmful"]
    with pytest.raises(UserError, match="none of 4 samples was kept"):
        generate(tmp_path, rows=rows, guard=("no", from_judge(lambda row: ("unsafe", 1.0))))
    assert len(read_rows(tmp_path / "responses.jsonl")) == 4 and not (tmp_path / "train.jsonl").exists()


def test_a_server_samples_and_another_guards(tmp_path):
    from servers import completion, failure, server

    failing = [True]

    def model(path, body):
        if body is None:
            return failure(404, "none")
        text = body["messages"][-1]["content"]
        assert body["temperature"] == 0.6 and body["top_p"] == 0.95 and body["max_tokens"] == 50 and "seed" in body
        if failing.pop() if failing else False:
            return failure(400, "not now")
        return completion("<think>\nI refuse.\n</think>\n\nNo." if text.startswith(REFUSAL_STEERING) else "No tags here.")

    def guard(path, body):
        if body is None:
            return failure(404, "none")
        assert [m["role"] for m in body["messages"]] == ["user", "assistant"] and "Prompt:" not in body["messages"][0]["content"]
        return completion("Safety: Safe\nCategories: None\nRefusal: Yes")

    with server(model) as sampler, server(guard) as judging:
        from alt_lite.generate.endpoint import Endpoint

        recipe = load_recipe("tiny", [*FEW, f"endpoint.url={sampler.url}", "endpoint.model=m", "endpoint.concurrency=1"])
        judges = ("served_guard@1:g", served(Endpoint(judging.url, "g", retries=0)))
        first = len(generate(tmp_path, recipe, decoding=Decoding(50, 0.6, 0.95), guard=judges))
        made = generate(tmp_path, recipe, decoding=Decoding(50, 0.6, 0.95), guard=judges)  # asks again for what failed
    assert first <= len(made) == 4 and all(row.label == "harmful" and row.source_trace == "I refuse." for row in made)
    assert len([body for _, body, _ in sampler.seen if body]) == 21


def test_a_real_server_of_the_embedded_model_gives_what_the_local_engine_gives(tmp_path):
    """`transformers serve` never samples, so both are asked greedily."""
    from servers import missing_for_serve, transformers_serve

    from alt_lite.model.load import model_folder

    if missing_for_serve():
        pytest.skip(f"transformers serve needs {', '.join(missing_for_serve())}")
    recipe = load_recipe("tiny", ("data.harmful=2", "data.benign=3", "data.skills=5"))
    folder = model_folder(recipe.model)
    decoding = Decoding(96)
    local = generate(tmp_path / "local", recipe, decoding=decoding)
    with transformers_serve(folder) as url:
        there = load_recipe("tiny", ("data.harmful=2", "data.benign=3", "data.skills=5", f"endpoint.url={url}", f"endpoint.model={folder}", "endpoint.concurrency=1"))
        remote = generate(tmp_path / "remote", there, rows_for(recipe), decoding)
    pairs = [[(row.prompt, row.source_trace, row.source_answer) for row in rows] for rows in (local, remote)]
    assert pairs[0] == pairs[1] and len(local) >= 5


def test_generate_from_the_command_line_and_train_on_it(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command("data", "generate", "tiny", *FEW, "--limit", 12, "--max-new-tokens", 96)
    assert status == 0, err
    assert out.strip() == "runs/generate_tiny_thinksafe/train.jsonl"
    status, out, err = command("mask", "tiny", f"data.source={out.strip()}", "data.target=natural", "--json")
    assert status == 0 and json.loads(out)["labels"], err


@pytest.mark.parametrize("arguments, says", [
    (["r1_1_5b", "model.gpu_gb=null", "data.source=safechain"], "no guard is named"), (["tiny", "--guard", "nonsense"], "is no server's URL"),
    (["tiny", "--rows", "nowhere.jsonl"], "no such file"),
    (["r1_1_5b", "--guard", "none", "endpoint.url=http://127.0.0.1:9", "endpoint.model=m", "data.source=safechain", "data.path=nowhere.csv"], "no such file"), (["tiny", "endpoint.url=http://127.0.0.1:9", "endpoint.model=m"], "no server answers"),
])
def test_mistakes_leave_with_a_fix(command, arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = command("data", "generate", *arguments)
    assert status == 2 and says in err and err.strip().splitlines()[-1].startswith("Fix: ")
