"""`longop.cli.options`: the options that `serve` and `run` share."""

import argparse
import inspect

import pytest

from longop import HistoryError, LongOperation
from longop.cli import options

from ..waiting import end_of


def where(callback):
    return "here"


def parse(*arguments, names=options.ALL):
    parser = argparse.ArgumentParser()
    options.add(parser, names)
    return parser.parse_args(arguments)


def override(operation, *arguments):
    [changed] = options.override([operation], parse(*arguments))
    return changed


def test_nothing_given():
    """What is not given stays as the code says it."""
    operation = LongOperation(where, limit=3, when_busy="reject", max_queued=7)
    changed = override(operation)
    assert (changed.limit, changed.when_busy) == (3, "reject")
    assert changed._options["max_queued"] == 7
    assert changed.function is where


def test_overridden():
    """What is given goes before what the code says, and nothing else changes."""
    operation = LongOperation(where, limit=3, when_busy="reject", max_queued=7)
    changed = override(operation, "--limit", "2", "--when-busy=join", "--timeout=1.5")
    assert (changed.limit, changed.when_busy) == (2, "join")
    assert changed._options["max_queued"] == 7
    assert (operation.limit, operation.when_busy) == (3, "reject")


def test_all_are_options_of_an_operation():
    """Each is an option of `LongOperation`, by the same name, or belongs to its history."""
    known = set(inspect.signature(LongOperation.__init__).parameters)
    assert set(options.ALL) - known == {"requeue", "history_rate"}


def test_some():
    """A command takes those that it names, and no others."""
    assert set(vars(parse(names=("grace", "timeout")))) == {"grace", "timeout"}
    with pytest.raises(SystemExit):
        parse("--limit=1", names=("grace", "timeout"))


@pytest.mark.parametrize("arguments", [
    ["--limit=0"], ["--timeout=-1"], ["--grace=nan"], ["--stall-timeout=-0.1"]])
def test_value_that_does_not_fit(arguments):
    """A value that makes no sense is a ValueError that names the option."""
    name = arguments[0].strip("-").partition("=")[0].replace("-", "_")
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        override(LongOperation(where), *arguments)


def test_history(tmp_path):
    """A file keeps the jobs of all operations; one that cannot be used is a HistoryError."""
    file = tmp_path / "jobs.sqlite3"
    operations = [LongOperation(where, name=name) for name in ("a", "b")]
    changed = options.override(operations, parse("--history", str(file), "--requeue"))
    ids = [end_of(operation.start()).id for operation in changed]
    assert changed[0].status(ids[1]).operation == "b"
    for operation in changed:
        operation.close()
    again = override(LongOperation(where, name="a"), "--history", str(file))
    assert again.status(ids[0]).result == "here"
    again.close()
    with pytest.raises(HistoryError):
        override(LongOperation(where), "--history", str(tmp_path))


def test_requeue_without_history(capsys):
    """--requeue alone is wrong usage."""
    parser = argparse.ArgumentParser()
    options.add(parser)
    with pytest.raises(SystemExit) as caught:
        options.check(parser, parser.parse_args(["--requeue"]))
    assert caught.value.code == 2
    assert "--requeue needs --history" in capsys.readouterr().err
    options.check(parser, parser.parse_args(["--requeue", "--history=x"]))
