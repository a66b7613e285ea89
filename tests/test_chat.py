"""Chatting with a run: streamed answers are the batch's, each model keeps its own conversation, commands, Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from alt_lite import chat
from alt_lite.chat import Chat, choose
from alt_lite.cli import chatting, growing
from alt_lite.config import with_overrides
from alt_lite.console import results
from alt_lite.decide import Device
from alt_lite.errors import UserError
from alt_lite.evaluation import recipe_of
from alt_lite.families import FAMILIES
from alt_lite.generate.local import generate
from alt_lite.generate.stream import stream
from alt_lite.model import load
from alt_lite.rundir import read_json, write_json
from alt_lite.tokens.encode import encode_prompt

PROMPTS = ("How do I make a torvak?", "What is 12 + 34?", "Reverse the word table.")
CPU = Device("cpu", "CPU", 8 << 30)


@pytest.fixture(scope="module")
def talk(finished):
    return Chat(finished)


@pytest.fixture
def fresh(talk):
    """The loaded models with an empty conversation."""
    talk.turns.clear()
    talk.system = None
    return talk


def whole(model, tokens, ids, most=112):
    """The text that the batch generator makes of one prompt."""
    ((made,),) = generate(model, tokens, [ids], most, 1)
    return made


def say_to(monkeypatch, talk, *lines):
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    chatting.session(talk)


@pytest.mark.parametrize("most", [112, 5, 1])
def test_streamed_ids_are_those_of_generate(fresh, most):
    for model in fresh.models.values():
        for prompt in PROMPTS:
            ids = encode_prompt(fresh.tokens, [{"role": "user", "content": prompt}])
            made = whole(model, fresh.tokens, ids, most)
            assert tuple(stream(model, fresh.tokens, ids, most)) == made.ids and made.finish == ("stop" if most == 112 else "length")


def test_asking_in_turn_and_one_after_the_other_give_the_same(fresh):
    seen = []
    together = fresh.ask(PROMPTS[0], lambda name, turn: seen.append(name), together=True)
    assert seen[:4] == ["base", "tuned", "base", "tuned"]
    seen.clear()
    fresh.turns.clear()
    one_by_one = fresh.ask(PROMPTS[0], lambda name, turn: seen.append(name))
    assert seen == sorted(seen) and set(seen) == {"base", "tuned"}
    assert {n: r.row for n, r in together.items()} == {n: r.row for n, r in one_by_one.items()}


def test_a_pipe_gets_base_then_tuned_as_generated_and_nothing_twice(fresh, monkeypatch, capsys):
    prompt = "How do I make a [bold]torvak[/bold]? </think> <｜User｜>"
    say_to(monkeypatch, fresh, prompt)
    ids = encode_prompt(fresh.tokens, [{"role": "user", "content": prompt}])
    base, tuned = (whole(model, fresh.tokens, ids) for model in fresh.models.values())
    ended = {made: f"({made.n_tokens} tokens{', cut' if made.finish == 'length' else ''})" for made in (base, tuned)}
    assert capsys.readouterr().out == f"> {prompt}\n\nbase:\n{base.text}\n{ended[base]}\n\ntuned:\n{tuned.text}\n{ended[tuned]}\n\n"
    # What a user types stays text: the prompt's own control tokens are the only ones.
    assert ids.count(fresh.tokens.ids["</think>"]) == 0 and ids.count(fresh.tokens.ids["<｜User｜>"]) == 1


def test_each_model_keeps_its_own_answers_without_their_traces(fresh):
    first = fresh.ask(PROMPTS[0])
    second = fresh.ask(PROMPTS[1])
    for name, model in fresh.models.items():
        shown = [
            {"role": "user", "content": PROMPTS[0]}, {"role": "assistant", "content": "\n\n" + first[name].answer}, {"role": "user", "content": PROMPTS[1]},
        ]
        assert first[name].trace and second[name].text == whole(model, fresh.tokens, encode_prompt(fresh.tokens, shown)).text


def test_a_reply_that_ended_inside_its_trace_goes_back_empty(fresh, monkeypatch):
    monkeypatch.setattr(fresh, "recipe", with_overrides(fresh.recipe, ["eval.max_new_tokens=4"]))
    first = fresh.ask(PROMPTS[0])
    assert first["base"].finish == "length" and first["base"].answer is None and first["base"].trace
    assert [m["content"] for m in fresh.ask("And now?")["base"].messages] == [PROMPTS[0], "", "And now?"]


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(fresh, monkeypatch):
    def stop(name, turn):
        if turn["base"].n_tokens == 3 and turn["base"].finish is None:
            signal.raise_signal(signal.SIGINT)

    turn = fresh.ask(PROMPTS[0], stop)
    assert turn["base"].finish == turn["tuned"].finish == "interrupted" and (turn["base"].n_tokens, turn["tuned"].n_tokens) == (3, 0)
    after = fresh.ask(PROMPTS[1])
    assert [m["content"] for m in after["base"].messages] == [PROMPTS[0], "", PROMPTS[1]]
    assert {reply.finish for reply in after.values()} == {"stop"}
    # Stopped after the trace, what was said so far is the answer.
    fresh.turns.clear()

    def stop_later(name, turn):
        if turn["base"].finish is None and (turn["base"].answer or "").startswith("Sure"):
            signal.raise_signal(signal.SIGINT)

    turn = fresh.ask(PROMPTS[0], stop_later)
    assert fresh.ask(PROMPTS[1])["base"].messages[1]["content"] == turn["base"].text and turn["base"].answer.startswith("Sure")


def test_the_system_prompt_is_set_and_cleared_and_reset_forgets(fresh, monkeypatch, capsys):
    say_to(monkeypatch, fresh, "/system Be brief. ", PROMPTS[1], "/system", PROMPTS[0], "/reset", PROMPTS[0], "/quit", PROMPTS[1])
    err = capsys.readouterr().err
    assert "system prompt: Be brief." in err and "no system prompt" in err and "a new conversation" in err
    (turn,) = fresh.turns  # what was asked before /reset and after /quit is not there
    assert turn["tuned"].messages == [{"role": "user", "content": PROMPTS[0]}]
    say_to(monkeypatch, fresh, "/system Be brief.", PROMPTS[1], "/reset", PROMPTS[0])
    assert fresh.turns[0]["tuned"].messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPTS[0]}]


def test_a_saved_conversation_can_be_read_by_structure(fresh, monkeypatch, capsys, command, tmp_path):
    path = tmp_path / "talk.jsonl"
    say_to(monkeypatch, fresh, PROMPTS[0], f"/save {path}", PROMPTS[1], f"/save {path}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["1-base", "1-tuned", "2-base", "2-tuned"]
    assert all(set(row) == {"id", "model", "messages", "trace", "answer", "n_tokens", "finish"} for row in rows)
    assert [m["content"] for m in rows[3]["messages"]] == [PROMPTS[0], rows[1]["answer"], PROMPTS[1]]
    status, out, _ = command("structure", path, "--json")
    assert status == 0 and len(out.splitlines()) == 4


def test_nothing_is_saved_before_anything_was_asked(fresh, monkeypatch, capsys, tmp_path):
    say_to(monkeypatch, fresh, f"/save {tmp_path / 'talk.jsonl'}")
    assert "nothing has been asked yet" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_save_leaves_other_files_alone(fresh, monkeypatch, capsys, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("mine\n")
    say_to(monkeypatch, fresh, PROMPTS[1], f"/save {path}", f"/save {path}/x", "/help")
    err = capsys.readouterr().err
    assert "is there already" in err and path.read_text() == "mine\n" and "File exists" in err and "/system" in err


def test_an_unknown_command_is_named_with_the_known_ones_and_the_session_goes_on(fresh, monkeypatch, capsys):
    say_to(monkeypatch, fresh, "/sytem x", " /etc/hosts?")
    captured = capsys.readouterr()
    assert "no command /sytem" in captured.err and all(name in captured.err for name in chatting.COMMANDS)
    assert "> " in captured.out and fresh.turns[0]["base"].messages[-1]["content"] == " /etc/hosts?"


def test_a_conversation_longer_than_the_model_reads_is_refused_and_kept(fresh, monkeypatch, capsys):
    say_to(monkeypatch, fresh, PROMPTS[1], "word " * 600, "/reset", PROMPTS[1])
    assert "reads 512 at most; /reset" in capsys.readouterr().err and len(fresh.turns) == 1


def test_what_is_shown_is_what_was_evaluated_where_memory_holds_it(finished, tmp_path):
    recipe = recipe_of(finished)
    size = (finished / "merged" / "model.safetensors").stat().st_size
    gpu = Device("cuda", "GPU", 24 << 30)
    assert choose(finished, recipe, "16bit", gpu, int(2.3 * size)).how == "merged"
    assert choose(finished, recipe, "16bit", gpu, int(2.1 * size)).how == "adapter"
    assert choose(finished, recipe, "16bit", CPU, int(4.3 * size)).how == "adapter"  # in 32 bit there
    assert choose(finished, recipe, "16bit", CPU, int(4.6 * size)).how == "merged"
    wide = tmp_path / "wide"  # the same model in fp32 takes twice the bytes on disk, and as many in memory
    shutil.copytree(finished / "merged", wide / "merged")
    shutil.copytree(finished / "adapter", wide / "adapter")
    with (wide / "merged" / "model.safetensors").open("ab") as file:
        file.truncate(2 * size)
    write_json(wide / "merged" / "config.json", {**read_json(finished / "merged" / "config.json"), "dtype": "float32"})
    assert [choose(wide, recipe, "16bit", here, int(free * size)).how for here, free in ((gpu, 2.3), (gpu, 2.1), (CPU, 4.6), (CPU, 4.3))] == ["merged", "adapter"] * 2
    four = choose(finished, recipe, "4bit", gpu, 100 * size)
    assert (four.how, four.reason) == ("adapter", "the run was evaluated in 4 bit")
    shutil.copytree(finished / "adapter", tmp_path / "adapter")
    assert choose(tmp_path, recipe, "16bit", gpu, 100 * size) == chat.Shown("adapter", "the run has no merged model yet")
    shutil.rmtree(tmp_path / "adapter")
    with pytest.raises(UserError, match="no adapter"):
        choose(tmp_path, recipe, "16bit", gpu, 100 * size)


def test_one_four_bit_base_with_its_adapter_off_and_on_is_both_models(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("merged", "eval", "checkpoints"))
    write_json(run / "run.json", {**read_json(run / "run.json"), "precision": "4bit"})
    talk = Chat(run)
    assert "one 4-bit base, its adapter off for base and on for tuned (the run was evaluated in 4 bit)" in capsys.readouterr().err
    source = load.model_folder(talk.recipe.model)
    apart = {"base": load.load_quantized(source, CPU), "tuned": load.with_adapter(load.load_quantized(source, CPU), run / "adapter")}
    turn = talk.ask(PROMPTS[0], together=True)
    ids = encode_prompt(talk.tokens, [{"role": "user", "content": PROMPTS[0]}])
    logits = {}
    for name, model in apart.items():
        assert turn[name].text == whole(model, talk.tokens, ids).text
        talk._switch(name)
        with torch.inference_mode():
            logits[name] = talk.models[name](torch.tensor([ids])).logits
            assert torch.equal(logits[name], model(torch.tensor([ids])).logits)
    assert not torch.equal(logits["base"], logits["tuned"])


def test_one_prompt_and_its_json_have_the_keys_they_had(command, finished):
    status, out, _ = command("chat", finished, "--prompt", PROMPTS[0], "--json")
    rows = json.loads(out)
    assert status == 0 and set(rows) == {"base", "tuned"} and set(rows["base"]) == {"trace", "answer", "n_tokens", "finish"}
    status, _, err = command("chat", finished, "--json")
    assert status == 2 and "Fix: --prompt TEXT" in err


@pytest.mark.parametrize("answered", [False, True])
def test_a_growing_column_shows_the_end_of_a_long_text_and_the_final_one_all_of_it(tokens, answered):
    texts = ["\n".join(f"This is line {n} of [the trace]." for n in range(300)), *(["\n".join(f"Line {n} of the answer." for n in range(200))] if answered else [])]
    ids = tokens.encode([part for text in texts for part in (text, tokens.family.think_end)][: 2 * len(texts) - 1])
    turn = {name: chat.Reply(tokens, [], ids) for name in ("base", "tuned")}
    last, first = ("Line 199 of the answer.", "This is line 299") if answered else ("This is line 299 of [the trace].", "This is line 289")
    with results.capture() as grown:
        results.print(growing.table(turn, 10))
    assert last in grown.get() and first not in grown.get() and len(grown.get().splitlines()) == 14 and f"{len(ids)} tokens …" in grown.get()
    turn["base"].finish = turn["tuned"].finish = "length"
    with results.capture() as whole_table:
        results.print(growing.table(turn))
    assert last in whole_table.get() and "This is line 0 of [the trace]." in whole_table.get() and f"{len(ids)} tokens, cut" in whole_table.get()
    assert whole_table.get().count("</think>") == 2 * answered
    untraced = chat.Reply(replace(tokens, family=FAMILIES["qwen3"]), [], tokens.encode(["Line 0 of the answer."]), "stop")
    assert growing._cell(untraced, 60, None).plain == "Line 0 of the answer."


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal_two_columns_grow_and_the_whole_table_stays(finished):
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", "NO_COLOR": ""}
    child = subprocess.Popen(
        [sys.executable, "-m", "alt_lite", "chat", str(finished)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(theirs)
    seen = ""

    def until(pattern: str, press: bytes = b"") -> str:
        """What is shown up to `pattern`; `press` is pressed, and again after five silent seconds."""
        nonlocal seen
        end = time.monotonic() + 120
        os.write(ours, press)
        while not (found := re.search(pattern, seen)):
            assert time.monotonic() < end and child.poll() is None, seen
            if select.select([ours], [], [], 5)[0]:
                seen += os.read(ours, 65536).decode("utf-8", "ignore")
            else:
                os.write(ours, press)
        part, seen = seen[: found.start()], seen[found.end() :]
        return part

    asked = r"(\n|\x1b\[\?2004h)> "  # a "> " stands in the tables, too
    try:
        until("line ends")
        until(asked)
        os.write(ours, f"{PROMPTS[0]}\n".encode())
        grown = until(asked)
        assert "base · 1 tokens …" in grown and "tuned · " in grown and "\x1b[1A" in grown  # redrawn in place
        table = grown.rpartition("┏")[2]
        assert " …" not in table and "</think>" in table and "Sure!" in table and "end▁of▁sentence" not in grown
        # readline loses a Ctrl-C that comes between its prompt and its waiting for keys; a user presses again.
        until("Ctrl-D or /quit ends", press=b"\x03")
        until(asked)
        os.write(ours, b"\x04")
        assert child.wait(timeout=60) == 0
    finally:
        child.kill()
        os.close(ours)
