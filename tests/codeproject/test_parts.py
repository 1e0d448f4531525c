"""`longop.codeproject.parts`: values in the settings, and where they stand."""

import pytest

from longop.codeproject.parts import Part

WHOLE = {"Name": "A module", "Nothing": None, "Sizes": [{"Low": "1.5", "High": 3}],
         "Launch": {"Count": "4", "Word": 5}}


@pytest.fixture
def whole():
    return Part.of(WHOLE)


def test_values(whole):
    """A value is found in any case of its key, and is a default if it is missing or null."""
    assert whole.text("NAME") == "A module"
    assert whole.text("nothing", "else") == whole.text("missing", "else") == "else"
    assert whole.get("launch", dict).count("COUNT") == "4"
    (size,) = whole.get("Sizes", list).parts()
    assert (size.number("Low"), size.number("High"), size.number("Other")) == (1.5, 3.0, None)
    assert (whole.word("Name"), whole.word("Sizes"), whole.word("missing")) == ("A module", "", "")


@pytest.mark.parametrize(("ask", "said"), [
    (lambda whole: whole.text("missing"), "^missing is missing$"),
    (lambda whole: whole.text("Sizes"), r"^Sizes must be a text, not "),
    (lambda whole: whole.get("Launch", list), "^Launch must be a list, not "),
    (lambda whole: whole.get("Launch", dict).text("Word"), "^Launch.Word must be a text, not 5$"),
    (lambda whole: whole.number("Name"), "^Name must be a number, not 'A module'$"),
    (lambda whole: whole.get("Sizes", list).parts()[0].text("Top"), r"^Sizes\[0\].Top is missing$"),
    (lambda whole: Part.of([1]), r"^the whole file must be an object, not \[1\]$")])
def test_what_is_wrong_has_a_place(whole, ask, said):
    with pytest.raises(ValueError, match=said):
        ask(whole)
