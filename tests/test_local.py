"""Files and folders of rows as people have them: formats, compression, encodings, types that change, parts."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alt_lite.config import peek
from alt_lite.data import local
from alt_lite.data.folders import read_folder
from alt_lite.data.rows import TrainingRow
from alt_lite.errors import UserError

ROWS = [
    {"prompt": "Where do swifts sleep?", "response": "On the wing,\nmostly; or in \"towers\".", "label": "benign"},
    {"prompt": "Quel temps fait-il à Nîmes ?", "response": "Il pleut; un peu, 12 °C.", "label": "benign"},
    {"prompt": "¿Y mañana?", "response": "<think>\nHm.\n</think>\n\nSol 🌞", "label": "benign"},
]


def jsonl(rows=ROWS) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows=ROWS, separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, header=None):
    return local.read_file(path, header).table.to_pylist()


def refused(path) -> UserError:
    with pytest.raises(UserError) as error:
        read(path)
    assert error.value.fix and str(path) in error.value.message and "\n" not in error.value.message
    return error.value


@pytest.mark.parametrize("name, content", [
    ("a.jsonl", jsonl()), ("a.ndjson", jsonl()), ("lines.json", jsonl()), ("list.json", json.dumps(ROWS)), ("pretty.json", json.dumps(ROWS, indent=2)),
    ("list.jsonl", json.dumps(ROWS, indent=1)), ("objects.jsonl", "\n".join(json.dumps(row, indent=1) for row in ROWS)), ("joined.jsonl", "".join(map(json.dumps, ROWS))),
    ("inside.json", json.dumps({"version": 3, "about": {"by": "me"}, "data": ROWS}, indent=1)), ("blank.jsonl", "\n\n" + jsonl().replace("\n", "\n\n")),
    ("windows.jsonl", jsonl().replace("\n", "\r\n")), ("mac.jsonl", jsonl().replace("\n", "\r")), ("marked.jsonl", jsonl().encode("utf-8-sig")),
    ("wide.jsonl", jsonl().encode("utf-16")), ("wide.json", json.dumps(ROWS, indent=1, ensure_ascii=False).encode("utf-16")), ("wider.jsonl", jsonl().encode("utf-32")),
    ("unmarked.jsonl", jsonl().encode("utf-16-le")), ("unmarked.csv", table().encode("utf-16-be")),
    ("a.jsonl.gz", gzip.compress(jsonl().encode())), ("a.json.bz2", bz2.compress(json.dumps(ROWS).encode())), ("a.csv.xz", lzma.compress(table().encode())),
    ("gzip.jsonl", gzip.compress(jsonl().encode())), ("a.csv", table()), ("a.tsv", table(separator="\t")), ("semicolons.csv", table(separator=";")), ("pipes.csv", table(separator="|")),
    ("tabs.csv", table(separator="\t")), ("excel.csv", ("sep=;\r\n" + table(separator=";")).encode("utf-8-sig")), ("wide.csv", table(separator="\t").encode("utf-16")),
])
def test_a_text_file_gives_its_rows_however_it_is_written(tmp_path, name, content):
    assert read(write(tmp_path / name, content)) == ROWS


def test_binary_files_give_their_rows(tmp_path):
    made = pa.Table.from_pylist(ROWS)
    pq.write_table(made.set_column(2, "label", made["label"].dictionary_encode()), tmp_path / "a.parquet")
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), made.schema) as stream:
        stream.write_table(made)
    with pa.ipc.new_file(str(tmp_path / "b.arrow"), made.schema) as file:
        file.write_table(made)
    write(tmp_path / "c.parquet.gz", gzip.compress((tmp_path / "a.parquet").read_bytes()))
    write(tmp_path / "named.csv", (tmp_path / "a.parquet").read_bytes())
    for name in ("a.parquet", "a.arrow", "b.arrow", "c.parquet.gz", "named.csv"):
        assert read(tmp_path / name) == ROWS, name
    assert local.read_file(tmp_path / "a.parquet").table.schema.field("label").type == pa.string()


def test_lines_of_a_text_are_rows(tmp_path):
    assert read(write(tmp_path / "a.txt", "one\r\n\r\ntwo, three\n")) == [{"text": "one"}, {"text": "two, three"}]


def test_a_separator_other_than_the_usual_one_is_said(tmp_path, capsys):
    read(write(tmp_path / "a.csv", table(separator=";")))
    assert "separated by semicolons" in capsys.readouterr().err
    read(write(tmp_path / "b.csv", table()))
    assert "separated" not in capsys.readouterr().err


def test_cells_stay_the_text_that_they_are(tmp_path):
    cells = ["NA", "null", "None", "007", "1.50", "true", " x ", "", '["a"]', "2024-01-02"]
    (row,) = read(write(tmp_path / "a.csv", table([{f"c{i}": cell for i, cell in enumerate(cells)}])))
    assert list(row.values()) == [cell or None for cell in cells]


@pytest.mark.parametrize("text, rows", [
    ('q,a\n"say \\"hi\\", twice",b\n', [{"q": 'say "hi", twice', "a": "b"}]), ('q, a\n"x, y", b\n', [{"q": "x, y", "a": "b"}]),
    ("q\nWell, now, what?\n", [{"q": "Well, now, what?"}]), ("q,a,\nb,c,\n", [{"q": "b", "a": "c", "column 3": None}]), ("q,q\nb,c\n", [{"q": "b", "q (2)": "c"}]),
    ("q,a,b\nx,y\n", [{"q": "x", "a": "y", "b": None}]), ("q,a\nx,y,,\n", [{"q": "x", "a": "y"}]), (f"q,a\n{'long ' * 50000},y\n", [{"q": "long " * 50000, "a": "y"}]),
])
def test_csv_is_read_as_people_write_it(tmp_path, text, rows):
    assert read(write(tmp_path / "a.csv", text)) == rows


def test_a_tsv_with_quotes_that_come_alone_is_taken_literally(tmp_path, capsys):
    assert read(write(tmp_path / "a.tsv", 'q\ta\n"So" he said\t5" long\n')) == [{"q": '"So" he said', "a": '5" long'}]
    assert "quotes are taken as they are" in capsys.readouterr().err


def test_a_header_is_given_to_a_file_without_one(tmp_path):
    assert read(write(tmp_path / "a.tsv", "1 + 1?\t2\n"), ("question", "answer")) == [{"question": "1 + 1?", "answer": "2"}]
    assert read(write(tmp_path / "b.tsv", "question\tanswer\n1 + 1?\t2\n"), ("question", "answer")) == [{"question": "1 + 1?", "answer": "2"}]


@pytest.mark.parametrize("late", [{"note": "seen"}, {"note": 1.5}, {"note": [{"by": "me"}]}, {"more": "seen"}])
def test_a_column_that_is_filled_late_is_read(tmp_path, late):
    rows = [*({"prompt": str(number), "note": None} for number in range(2500)), {"prompt": "last", **late}]
    got = read(write(tmp_path / "a.jsonl", jsonl(rows)))
    assert len(got) == 2501 and {key: got[-1][key] for key in late} == late and got[0]["note"] is None


@pytest.mark.parametrize("values, read_as", [
    ([1, 2.5], [1.0, 2.5]), ([1, "a"], ["1", "a"]), (["a", {"b": 1}], ["a", '{"b": 1}']), ([[1], "a"], ["[1]", "a"]), ([{"b": 1}, {"b": "x"}], ['{"b": 1}', '{"b": "x"}']),
    ([True, 2], ["true", "2"]), ([2**70, 1], [str(2**70), "1"]), ([{"b": 1}, {"c": "x"}], [{"b": 1, "c": None}, {"b": None, "c": "x"}]),
])
@pytest.mark.parametrize("apart", [0, 1500])
def test_values_of_several_types_are_read_and_named(tmp_path, values, read_as, apart):
    """Within a thousand rows, and in different thousands of them."""
    rows = [{"n": values[0]}, *({"n": None} for _ in range(apart)), {"n": values[1]}]
    found = local.read_file(write(tmp_path / "a.jsonl", jsonl(rows)))
    got = found.table["n"].to_pylist()
    assert [got[0], got[-1]] == read_as
    assert bool(found.clashes) == isinstance(read_as[0], str)
    if type(values[0]) is not type(values[1]) and found.clashes:
        assert f"line {apart + 2}: 'n' is" in found.clashes["n"][0]


@pytest.mark.parametrize("name, content, says", [
    ("a.jsonl", jsonl() + "nonsense\n[1]\n", "line 4: not JSON .*; line 5: a JSON list"), ("a.json", '[{"a": 1},\n{"a" 2}]', "line 2: not JSON"),
    ("b.json", '[{"a": 1}\n', "line 2: the list is not closed"), ("c.json", "[1]", "line 1: a JSON int, not an object"), ("d.jsonl", "x" + "[" * 99999, "line 1: not JSON"),
    ("a.csv", "a,b\n1,2\n1,2,3\n", "line 3: 3 cells, but 2 columns"), ("b.csv", 'a,b\n1,"2\n3,4\n', "line 2: "),
    ("latin.jsonl", jsonl(ROWS[:2]).encode("latin-1"), "line 2: not UTF-8"), ("latin.json", json.dumps(ROWS[:2], indent=1, ensure_ascii=False).encode("latin-1"), "line 8: not UTF-8"),
    ("a.parquet", b"PAR1 and no more", "not readable as Parquet"), ("a.arrow", b"no table at all", "not readable as Arrow"),
    ("cut.jsonl.gz", gzip.compress(jsonl().encode())[:-20], "cannot be read"), ("book.csv", b"PK\x03\x04rest", "Excel workbook"), ("page.json", "<!DOCTYPE html>", "a web page"),
    ("pointer.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "pointer of Git LFS"), ("a.docx", "x", "none of .jsonl"), ("a.jsonl", "", "is empty"), ("gone", None, "no such file"),
])
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, name, content, says):
    import re

    path = tmp_path / name if content is None else write(tmp_path / name, content)
    assert re.search(says, refused(path).message)


def test_halves_of_a_character_are_replaced_and_their_lines_named(tmp_path, capsys):
    whole = '{"prompt": "bread \\ud83c\\udf5e"}\n'
    path = write(tmp_path / "a.jsonl", whole + '{"prompt": "half \\uD83C", "more": [{"x": "\\udf5e"}]}\n' + whole)
    rows = read(path)
    assert [row["prompt"] for row in rows] == ["bread 🍞", "half \ufffd", "bread 🍞"] and rows[1]["more"] == [{"x": "\ufffd"}]
    assert "half characters became \ufffd in line 2\n" in capsys.readouterr().err


def test_a_columns_name_may_hold_nul(tmp_path):
    made = local.dataset(local.read_file(write(tmp_path / "a.jsonl", '{"a\\u0000b": 1}\n')).table)
    assert made.select_columns(made.column_names)[0] == {"a\ufffdb": 1}


def test_nothing_is_written_into_the_librarys_cache(tmp_path, monkeypatch):
    import datasets.config

    blocked = write(tmp_path / "file", "")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", blocked / "cache")
    data = local.dataset(local.read_file(write(tmp_path / "a.jsonl", jsonl())).table)
    assert data.select_columns(["prompt"])[0] == {"prompt": ROWS[0]["prompt"]} and data.cache_files == []


def parts(folder, *names, rows=ROWS):
    for name, row in zip(names, rows, strict=False):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist([row]), path)
        else:
            write(path, table([row]) if path.suffix == ".csv" else jsonl([row]))
    return folder


@pytest.mark.parametrize("names", [
    ("data/train-00000-of-00003.parquet", "data/train-00001-of-00003.parquet", "data/train-00002-of-00003.parquet"),
    ("train/x.jsonl", "train/y.jsonl", "train/z.jsonl"), ("part-1.csv", "part-2.csv", "part-10.csv"), ("a/b/my training set 1.jsonl", "a/b/my training set 2.jsonl", "a/b/my training set 3.jsonl"),
])
def test_parts_of_a_folder_are_read_in_order(tmp_path, names, capsys):
    folder = parts(tmp_path / "set", *names)
    for name in ("README.md", ".git/x.json", "LICENSE.txt", "dataset_infos.json", "load.py", ".hidden.jsonl"):
        write(folder / name, "{}")
    data, clashes = read_folder(folder)
    assert list(data) == ROWS and not clashes and "3 rows of 3 files" in capsys.readouterr().err


def test_of_several_splits_train_is_read_and_the_others_said(tmp_path, capsys):
    folder = parts(tmp_path, "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "data/dev.parquet")
    assert list(read_folder(folder)[0]) == ROWS[:1]
    assert "test" in (err := capsys.readouterr().err) and "left out" in err
    (folder / "data/train-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match="none named train"):
        read_folder(folder)
    (folder / "data/dev.parquet").unlink()
    assert list(read_folder(folder)[0]) == ROWS[1:2]


def test_a_readmes_configurations_say_which_files(tmp_path):
    folder = parts(tmp_path, "fr/a.jsonl", "es/a.jsonl")
    head = "---\nconfigs:\n- config_name: fr\n  data_files: fr/*.jsonl\n- config_name: es\n{}  data_files:\n  - split: train\n    path: es/a.jsonl\n---\n"
    write(folder / "README.md", head.format(""))
    with pytest.raises(UserError, match="several configurations: fr, es"):
        read_folder(folder)
    write(folder / "README.md", head.format("  default: true\n"))
    assert list(read_folder(folder)[0]) == ROWS[1:2]


def test_a_part_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="data/train-00001-of-00003.parquet"):
        read_folder(parts(tmp_path, "data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"))


def test_formats_are_not_mixed(tmp_path):
    with pytest.raises(UserError, match="several formats: CSV, JSON"):
        read_folder(parts(tmp_path, "a.jsonl", "b.csv"))


def test_parts_whose_types_differ_are_read_and_named(tmp_path):
    rows = [{"prompt": "a", "n": 1, "x": None}, {"prompt": "b", "n": "two", "y": [1]}]
    data, clashes = read_folder(parts(tmp_path, "a.parquet", "b.parquet", rows=rows))
    assert data["n"][:] == ["1", "two"] and list(clashes) == ["n"] and data["y"][:] == [None, [1]]


def test_peek_knows_the_fields_of_a_training_row():
    assert set(TrainingRow.model_fields) == peek.ROW_FIELDS
    assert {name for name, field in TrainingRow.model_fields.items() if field.is_required()} == peek.ROW_NEEDS


ROW = {"id": "1", "prompt": "p", "label": "benign", "answer": "a"}


@pytest.mark.parametrize("content, rows", [
    (jsonl([ROW]), True), (jsonl([{**ROW, "label": "odd", "reasoning": "x"}]), True), (jsonl([{"understanding": "x", "anything": 1}]), True), (jsonl([{**ROW, "score": 1}]), False),
    (jsonl([{"prompt": "p", "label": "benign", "answer": "a"}]), False), (jsonl(), False), (json.dumps([ROW]), False), (json.dumps(ROWS[0], indent=1), False), ("", True), ("oops", True),
    (gzip.compress(jsonl([ROW]).encode()), True), (gzip.compress(jsonl().encode()), False), (("\n" + jsonl([ROW])).encode("utf-16"), True), (jsonl().encode("utf-8-sig"), False),
])
def test_training_rows_are_told_from_prompts_and_responses(tmp_path, content, rows):
    assert peek.are_training_rows(write(tmp_path / "a.jsonl", content)) is rows
    assert not peek.are_training_rows(write(tmp_path / "a.json", content))


def test_a_folder_named_like_a_file_is_a_set(tmp_path):
    folder = parts(tmp_path / "rows.jsonl", "part-00000.jsonl", "part-00001.jsonl")
    assert not peek.are_training_rows(folder) and len(read_folder(folder)[0]) == 2


@pytest.mark.parametrize("encoding, text", [
    ("cp1252", "prompt;response;label\nWie koche ich Nudeln für drei Gäste?;Größere Töpfe.;benign\n"), ("cp1251", "prompt;response;label\nКак сварить лапшу?;Вода.;benign\n"),
    ("gb18030", "prompt,response,label\n如何煮面条？,把水烧开。,benign\n"), ("cp932", "prompt,response,label\n麺の茹で方を教えてください。,水を沸かします。,benign\n"),
])
def test_a_csv_that_a_spreadsheet_saved_in_an_older_encoding_is_read_and_said(tmp_path, capsys, encoding, text):
    path = tmp_path / "set.csv"
    path.write_bytes(text.encode(encoding))
    table = local.read_file(path).table
    assert table["prompt"][0].as_py() == text.splitlines()[1].replace(";", ",").split(",")[0]
    assert capsys.readouterr().err.count("is not UTF-8 and is read as") == 1


def test_one_broken_byte_in_a_file_of_utf_8_is_named_and_not_guessed(tmp_path):
    path = tmp_path / "set.csv"
    path.write_bytes("prompt,response\nGäste und Töpfe,ja\nNudeln,für".encode() + b"\xff,nein\n")
    with pytest.raises(UserError, match="line 3: not UTF-8"):
        local.read_file(path)
