"""The client for OpenAI-compatible servers, against servers that behave well and badly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from threading import Event, Lock

import pytest
from servers import Answer, completion, failure, free_port, missing_for_serve, server, transformers_serve

from alt_lite.config import load_recipe
from alt_lite.errors import UserError
from alt_lite.families.splitting import split_completion
from alt_lite.generate.endpoint import Endpoint, Ids, Reply, Sampling, ask, check

KEY = "sk-never-to-be-shown-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """A key is set, and no proxy of the machine stands between the tests and their servers."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def at(url, **changes):
    return replace(Endpoint(url, "m", "TEST_KEY", retries=1, timeout=5.0), **changes)


def asked(*prompts):
    return [([{"role": "user", "content": prompt}], Sampling(max_tokens=20)) for prompt in prompts]


def replies(behave, *prompts, **changes):
    with server(behave) as running:
        return sorted(ask(at(running.url, **changes), asked(*prompts)), key=lambda reply: reply.index)


def ended(behave, **changes):
    """The error that ends a call of three requests."""
    with server(behave) as running, pytest.raises(UserError) as raised:
        list(ask(at(running.url, **changes), asked("a", "b", "c")))
    assert "\n" not in raised.value.message and KEY not in raised.value.message + raised.value.fix
    return raised.value


def bad_for(prompt, answer):
    """Answer `prompt` by what `answer` gives, everything else well."""
    return lambda path, body: answer() if body["messages"][0]["content"] == prompt else completion("fine")


def assert_only_one_fails(behave, error, **changes):
    """Of three requests the middle one has the error."""
    got = replies(behave, "good", "bad", "good", **changes)
    assert [reply.finish for reply in got] == ["stop", "error", "stop"]
    assert error in got[1].error and "\n" not in got[1].error and KEY not in got[1].error
    assert (got[1].text, got[1].trace, got[1].answer, got[1].n_tokens) == ("", None, None, None)


def test_replies_carry_the_index_of_their_request():
    got = replies(lambda path, body: completion(body["messages"][0]["content"].upper()), "a", "b", "c")
    assert [(reply.index, reply.answer, reply.n_tokens, reply.finish) for reply in got] == [
        (0, "A", 7, "stop"), (1, "B", 7, "stop"), (2, "C", 7, "stop")
    ]


def test_only_what_is_set_is_sent():
    with server(lambda path, body: completion("x")) as running:
        messages = [{"role": "user", "content": "hi"}]
        list(ask(at(running.url, concurrency=1), [(messages, Sampling()), (messages, Sampling(0.6, 0.95, 20, 99, 3))]))
    (path, first, headers), (_, second, _) = running.seen
    assert path == "/v1/chat/completions" and headers["authorization"] == f"Bearer {KEY}"
    assert first == {"model": "m", "messages": messages, "temperature": 0.0, "max_tokens": 1024}
    assert second == {**first, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "max_tokens": 99, "seed": 3}


def test_a_local_server_needs_no_key(monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    with server(lambda path, body: completion("x")) as running:
        list(ask(at(running.url), asked("a")))
    assert running.seen[0][2]["authorization"] == "Bearer none"


def test_a_local_server_is_reached_where_the_environment_names_a_proxy(monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    (got,) = replies(lambda path, body: completion("fine"), "a")
    assert got.answer == "fine"


@pytest.mark.parametrize(
    ("choice", "text", "ids"),
    [
        ({"text": "46<｜end▁of▁sentence｜>", "finish_reason": "stop", "token_ids": [4, 6, 2]}, "46", (4, 6, 2)),
        ({"text": " 46", "finish_reason": "length"}, " 46", None),
        ({"text": "46", "finish_reason": "stop", "token_ids": ["4"]}, "46", None),
    ],
)
def test_ids_are_asked_as_a_completion(choice, text, ids):
    answer = Answer({"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": 3}})
    with server(lambda path, body: answer) as running:
        (got,) = ask(at(running.url), [(Ids([1, 5], [2]), Sampling(max_tokens=20))])
    assert got == Reply(0, text, None, None, 3, choice["finish_reason"], ids=ids)
    ((path, body, _),) = running.seen
    assert (path, body["prompt"], body["stop_token_ids"]) == ("/v1/completions", [1, 5], [2]) and "messages" not in body


@pytest.mark.parametrize("choice", [{"finish_reason": "stop"}, {"message": {"content": "chat"}, "finish_reason": "stop"}, {"text": "x", "finish_reason": "abort"}])
def test_a_completion_without_text_or_given_up_is_an_error(choice):
    with server(lambda path, body: Answer({"choices": [choice]})) as running:
        (got,) = ask(at(running.url), [(Ids([1], [2]), Sampling())])
    assert got.finish == "error"


@pytest.mark.parametrize(("path", "full"), [("", "/v1"), ("/", "/v1"), ("/v1/", "/v1"), ("/api/v3", "/api/v3")])
def test_v1_is_added_only_to_an_empty_path(path, full):
    with server(lambda path, body: completion("x")) as running:
        list(ask(at(running.url.removesuffix("/v1") + path), asked("a")))
    assert running.seen[0][0] == f"{full}/chat/completions"


@pytest.mark.parametrize(
    ("content", "message", "trace", "answer"),
    [
        ("46", {}, None, "46"),
        ("<think>\n12 + 34\n</think>\n\n46", {}, "12 + 34", "46"),
        ("\n<think>\n12 + 34\n</think>\n\n46", {}, "12 + 34", "46"),
        ("12 + 34\n</think>\n\n46", {}, "12 + 34", "46"),
        ("<think>\n12 + 34", {}, "12 + 34", None),
        ("46", {"reasoning_content": "12 + 34"}, "12 + 34", "46"),
        ("\n\n46", {"reasoning": "12 + 34\n"}, "12 + 34", "46"),
        ("46", {"reasoning_content": None}, None, "46"),
        ("46", {"reasoning_content": ""}, None, "46"),
        (None, {"reasoning_content": "12 +"}, "12 +", None),
        ("<｜begin▁of▁sentence｜><｜User｜>sum?<｜Assistant｜>", {"reasoning_content": "12 +"}, "12 +", None),
    ],
)
def test_trace_and_answer_are_found_wherever_the_server_puts_them(content, message, trace, answer):
    (got,) = replies(lambda path, body: completion(content, **message), "a")
    assert (got.trace, got.answer) == (trace, answer)
    assert split_completion(got.text.lstrip(), False) == (trace, answer)


@pytest.mark.parametrize("end", ["<｜end▁of▁sentence｜>", "<|im_end|>\n<|endoftext|>", "<|eot_id|>"])
def test_end_of_text_is_cut_off(end):
    apart, inline = replies(
        lambda path, body: completion(f"46{end}", **({"reasoning_content": "x"} if body["messages"][0]["content"] == "a" else {})),
        "a", "b",
    )
    assert apart.text == "<think>\nx\n</think>\n\n46" and inline.text == "46"


def test_a_reply_that_was_cut_says_so():
    (got,) = replies(lambda path, body: completion("<think>\nand then", finish="length"), "a")
    assert (got.finish, got.answer, got.error) == ("length", None, None)


def test_it_waits_as_long_as_the_server_says():
    times = []

    def behave(path, body):
        times.append(time.monotonic())
        return failure(429, "slow down", **{"Retry-After": "1"}) if len(times) == 1 else completion("fine")

    (got,) = replies(behave, "a")
    assert got.answer == "fine" and 0.9 < times[1] - times[0] < 3


def test_a_server_error_ends_its_request_only():
    calls = []

    def broken():
        calls.append(1)
        return failure(500, f"out of memory\nTraceback with {KEY}")

    assert_only_one_fails(bad_for("bad", broken), "HTTP 500 out of memory Traceback with ***")
    assert len(calls) == 2  # the first attempt and one retry


def test_half_a_json_ends_its_request_only():
    assert_only_one_fails(bad_for("bad", lambda: Answer(b'{"choices": [{"mess')), "no JSON")


def test_a_body_that_breaks_off_is_asked_again_and_then_ends_its_request_only():
    calls = []

    def broken():
        calls.append(1)
        return Answer(b'{"choices": [{"mess', headers={"Content-Type": "application/json", "Content-Length": "900", "Connection": "close"})

    assert_only_one_fails(bad_for("bad", broken), "connection lost")
    assert len(calls) == 2


@pytest.mark.parametrize(
    "answer",
    [Answer(b"\xff\xfe{"), Answer(b""), Answer(b"null"), Answer([1]), Answer(b"{}", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})],
    ids=["no utf-8", "nothing", "null", "a list", "no gzip"],
)
def test_a_body_that_cannot_be_read_ends_its_request_only(answer):
    assert_only_one_fails(bad_for("bad", lambda: answer), "")


def test_a_page_instead_of_json_ends_its_request_only():
    page = Answer(b"<html>Hello</html>", headers={"Content-Type": "text/html"})
    assert_only_one_fails(bad_for("bad", lambda: page), "no choices")


@pytest.mark.parametrize("body", [{"choices": []}, {"choices": None}, {}, {"choices": [{"finish_reason": "stop"}]}, {"choices": [7]}])
def test_a_reply_without_text_ends_its_request_only(body):
    assert_only_one_fails(bad_for("bad", lambda: Answer(body)), "the server's reply")


def test_an_error_with_status_200_ends_its_request_only():
    assert_only_one_fails(bad_for("bad", lambda: Answer({"error": {"message": "provider down"}})), "provider down")


def test_a_withheld_reply_is_an_error():
    assert_only_one_fails(bad_for("bad", lambda: completion("", finish="content_filter")), "content_filter")


def test_a_hanging_server_is_asked_again_and_then_ends_its_request_only():
    over, calls = Event(), []

    def hang():
        calls.append(1)
        over.wait(10)

    try:
        assert_only_one_fails(bad_for("bad", hang), "no reply in time", timeout=0.5, retries=1)
    finally:
        over.set()
    assert len(calls) == 2


def test_a_server_that_always_hangs_is_told_after_the_first_requests():
    over, calls = Event(), []

    def hang(path, body):
        calls.append(1)
        over.wait(20)

    try:
        with server(hang) as running, pytest.raises(UserError, match="no reply in time to its first 2 requests") as told:
            list(ask(at(running.url, timeout=0.4, retries=5, concurrency=2), [([{"role": "user", "content": str(n)}], Sampling(max_tokens=8)) for n in range(20)]))
    finally:
        over.set()
    assert "endpoint.timeout=SECONDS" in told.value.fix and len(calls) <= 6  # each asked twice, not six times


def test_a_long_reply_is_waited_for_longer():
    from alt_lite.generate import patience

    assert patience.seconds(None, 16_384) > 1600 and patience.seconds(None, 64) < 130 and patience.seconds(5.0, 16_384) == 5


def test_a_server_that_stops_within_its_reply_ends_its_request_only():
    half = Answer(b'{"choices": [{"mess', headers={"Content-Type": "application/json", "Content-Length": "900"})
    assert_only_one_fails(bad_for("bad", lambda: half), "no reply in time", timeout=0.5, retries=0)


def test_a_server_that_has_only_errors_gives_one_for_each_request():
    got = replies(lambda path, body: failure(500, "broken"), "a", "b", "c", retries=0)
    assert [(reply.finish, reply.error) for reply in got] == [("error", "HTTP 500 broken")] * 3


def test_a_dropped_connection_ends_its_request_only():
    assert_only_one_fails(bad_for("bad", lambda: None), "connection lost")


def test_a_connection_dropped_before_any_success_does_not_end_all():
    (got,) = replies(lambda path, body: None, "a", retries=0)
    assert got.finish == "error"


def test_a_too_long_prompt_ends_its_request_only():
    said = "This model's maximum context length is 512 tokens. 'max_tokens' is too large: 1024."
    (first, *_) = replies(bad_for("bad", lambda: failure(400, said)), "bad", "good", concurrency=1)
    assert first.error == f"HTTP 400 {said}"


def test_moderation_of_one_prompt_does_not_end_all():
    (got,) = replies(lambda path, body: failure(403, "your input was flagged"), "a")
    assert got.error == "HTTP 403 your input was flagged"


def test_no_server_ends_all():
    with pytest.raises(UserError, match="no server answers at http://127.0.0.1.*refused") as raised:
        list(ask(at(f"http://127.0.0.1:{free_port()}"), asked("a", "b")))
    assert "start the server" in raised.value.fix


def test_an_unknown_host_ends_all():
    with pytest.raises(UserError, match="no server answers at http://no-such-host.invalid"):
        list(ask(at("http://no-such-host.invalid/v1", retries=0), asked("a")))


def test_a_server_that_goes_away_ends_all_after_a_few_errors():
    last = replace(completion("x"), headers={"Content-Type": "application/json", "Connection": "close"})
    with server(lambda path, body: last) as running:
        got = ask(at(running.url, concurrency=1, retries=0), asked(*"abcdef"))
        assert next(got).finish == "stop"
    assert next(got).finish == "error"
    with pytest.raises(UserError, match="no server answers"):
        next(got)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_all_and_names_its_variable(status, monkeypatch):
    def behave(path, body):
        return failure(status, f"Incorrect API key provided: {KEY}")

    assert "check the key in the environment variable TEST_KEY" in ended(behave).fix
    monkeypatch.delenv("TEST_KEY")
    assert "set the environment variable TEST_KEY" in ended(behave).fix


def test_an_unknown_model_ends_all_and_lists_what_there_is():
    def behave(path, body):
        return Answer({"data": [{"id": "tiny"}, {"id": "large"}]}) if path == "/v1/models" else failure(404, "no such model")

    assert "has no model m; it has tiny, large" in ended(behave).message


def test_a_wrong_path_ends_all():
    error = ended(lambda path, body: Answer({"detail": "Not Found"}, 404))
    assert "HTTP 404 Not Found" in error.message and "base URL" in error.fix


def test_no_credit_ends_all():
    said = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    assert "no credit" in ended(lambda path, body: Answer(said, 429), retries=0).message


def test_a_setting_that_the_server_refuses_ends_all():
    error = ended(lambda path, body: Answer({"detail": "Unexpected fields in the request: {'top_k'}"}, 422))
    assert "does not take top_k" in error.message and "leave top_k out" in error.fix


@pytest.mark.parametrize("url", ["localhost:8000", "", "http://", "ftp://host/v1", "http://host:port", "http://a b/v1", "http://..x/v1", "http://h\x01/v1"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(UserError, match="is no server's URL"):
        check(at(url))


def test_secrets_in_the_url_are_not_shown():
    with pytest.raises(UserError) as raised:
        check(at(f"http://me:{KEY}@127.0.0.1:{free_port()}/v1?key={KEY}"))
    assert KEY not in raised.value.message


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("TEST_KEY", f"{KEY}\nexport X=1")
    with pytest.raises(UserError, match="TEST_KEY") as raised:
        check(at("http://localhost"))
    assert KEY not in raised.value.message


def test_no_more_than_the_given_number_are_in_flight():
    lock, now, most = Lock(), 0, 0

    def behave(path, body):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return completion("x")

    assert len(replies(behave, *"abcdefghijkl", concurrency=3)) == 12
    assert most == 3


def test_nothing_more_is_sent_after_stop():
    done = []
    with server(lambda path, body: completion("x")) as running:
        for reply in ask(at(running.url, concurrency=2), asked(*"abcdefgh"), stop=lambda: len(done) >= 3):
            done.append(reply)
    assert len(running.seen) == len(done) <= 4


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_interrupting_does_not_wait_for_what_is_in_flight():
    code = (
        "import sys\nfrom alt_lite.generate.endpoint import Endpoint, Sampling, ask\n"
        "requests = [([{'role': 'user', 'content': 'x'}], Sampling())] * 20\n"
        "list(ask(Endpoint(sys.argv[1], 'm'), requests))\n"
    )
    arrived, over = Event(), Event()

    def hang(path, body):
        arrived.set()
        over.wait(30)

    with server(hang) as running:
        process = subprocess.Popen([sys.executable, "-c", code, running.url], stderr=subprocess.PIPE)
        try:
            assert arrived.wait(20)
            process.send_signal(signal.SIGINT)
            _, printed = process.communicate(timeout=5)
        finally:
            process.kill()
            over.set()
    assert b"KeyboardInterrupt" in printed and len(running.seen) <= 8


def test_check_lists_the_models():
    with server(lambda path, body: Answer({"object": "list", "data": [{"id": "tiny"}]})) as running:
        assert check(at(running.url)) == ["tiny"]
    assert running.seen[0][2]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("answer", [failure(404, "no route"), failure(500, "no cache"), Answer(b"{"), Answer({"data": None}), Answer([1])])
def test_check_passes_where_models_are_not_listed(answer):
    with server(lambda path, body: answer) as running:
        assert check(at(running.url)) == []
    assert len(running.seen) == 1


def test_check_says_at_once_that_there_is_no_server():
    began = time.monotonic()
    with pytest.raises(UserError, match="no server answers") as raised:
        check(at(f"http://127.0.0.1:{free_port()}", retries=5))
    assert "start the server" in raised.value.fix and time.monotonic() - began < 3


def test_check_tells_a_server_that_is_loading_and_one_that_wants_a_key():
    with server(lambda path, body: failure(503, "Loading model")) as running, pytest.raises(UserError, match="Loading model"):
        check(at(running.url))
    with server(lambda path, body: failure(401, KEY)) as running, pytest.raises(UserError) as raised:
        check(at(running.url))
    assert "TEST_KEY" in raised.value.fix and KEY not in raised.value.message


@pytest.mark.skipif(bool(missing_for_serve()), reason=f"transformers serve needs {', '.join(missing_for_serve())}")
def test_a_real_server_gives_what_the_local_engine_gives(tokens):
    from alt_lite.generate.local import generate
    from alt_lite.model import backend
    from alt_lite.model.load import load_full, model_folder
    from alt_lite.tokens.encode import encode_prompt

    prompts = ["What is 12 + 34?", "How do I make a cake?", "What is the capital of France?"]
    messages = [[{"role": "user", "content": prompt}] for prompt in prompts]
    folder = model_folder(load_recipe("tiny").model)
    ids = [encode_prompt(tokens, message) for message in messages]
    model = load_full(folder, backend.device())
    # The last request is cut within its trace.
    local = {}
    for limit, chosen in ((112, ids), (10, ids[:1])):
        for (row,) in generate(model, tokens, chosen, limit, 1):
            local[limit, row.index] = row
    with transformers_serve(folder) as url:
        endpoint = at(url, model=str(folder), timeout=60.0)
        check(endpoint)
        requests = [(message, Sampling(max_tokens=112, top_p=1.0, seed=1)) for message in messages]
        got = sorted(ask(endpoint, [*requests, (messages[0], Sampling(max_tokens=10))]), key=lambda reply: reply.index)
        with pytest.raises(UserError, match="does not take top_k"):
            list(ask(endpoint, [(messages[0], Sampling(top_k=1))]))
        with pytest.raises(UserError, match="pinned to"):
            list(ask(replace(endpoint, model="other"), asked("a")))
    for reply, expected in zip(got, [*(local[112, i] for i in range(3)), local[10, 0]], strict=True):
        assert reply.error is None
        assert (reply.trace, reply.answer) == split_completion(expected.text, tokens.family.opens_trace)
        assert (reply.n_tokens, reply.finish) == (expected.n_tokens, expected.finish)
    assert [reply.finish for reply in got] == ["stop", "stop", "stop", "length"] and got[3].answer is None
