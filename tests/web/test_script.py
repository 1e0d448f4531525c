"""A script becomes small and does the same. tests/interop runs the page's in a browser."""

import re
from pathlib import Path

import pytest

from longop.web.script import shorten

SCRIPT = Path(__file__).resolve().parents[2] / "longop" / "web" / "page.js"


@pytest.mark.parametrize(("script", "short"), [
    ("const waiting = 1;\nsay(waiting);", "let A=1;say(A);"),
    ("function one(name) {\n  return name;\n}\none(2);", "function A(a){return a}A(2);"),
    ("async function one() {\n  await two();\n}", "async function A(){await two()}"),
    ("const one = (name) => name.name;", "let A=(a)=>a.name;"),
    ("const one = (name) => ({ name, size: name });", "let A=(a)=>({name:a,size:a});"),
    ("const one = ({ name, size: [all] }) => name + all;",
     "let A=({name:a,size:[b]})=>a+b;"),
    ("const one = ({ name = 5, ...rest } = {}) => name(rest);",
     "let A=({name:a=5,...b}={})=>a(b);"),
    ("const { title } = document;\nsay(title);", "let{title:A}=document;say(A);"),
    ("try {\n  one();\n} catch (error) {\n  say(error);\n} finally {\n  two();\n}",
     "try{one()}catch(a){say(a)}finally{two()}"),
    ("const one = (name) => name + '{ name: \"x\" }';",
     "let A=(a)=>a+'{ name: \"x\" }';"),
    ("function one(name) {\n  try {\n    name();\n  } catch {\n    name = 1;\n  }\n}",
     "function A(a){try{a()}catch{a=1}}"),
    ("for (const [name, value] of all) say(name ? value : name);",
     "for(let[a,b]of all)say(a?b:a);"),
    ("const one = (name) => `name ${name} ${name ? \"name\" : 1}`;",
     'let A=(a)=>`name ${a} ${a?"name":1}`;'),
    ('const one = (name) => say("name", /name[/]"/g, name / 2 / name);',
     'let A=(a)=>say("name",/name[/]"/g,a/2/a);'),
    ("function one(name) {\n  return /name/.test(name);\n}",
     "function A(a){return/name/.test(a)}"),
    ("function one(name) {\n  name = +name;\n  let end = name + +name - --end;\n}",
     "function A(a){a=+a;let b=a+ +a- --b}"),
    ("const make = {\n  run() {\n    end();\n  },\n  end: () => run,\n};",
     "let A={run(){end()},end:()=>run};"),
    ("// about one\none(); // and the rest\n/two/.test(name);", "one();/two/.test(name);"),
    ("const name = 1;\nfunction one() {\n  const name = 2;\n  say(name);\n}",
     "let A=1;function B(){let A=2;say(A)}"),
    ("const one = document.one?.two ?? {};", "let A=document.one?.two??{};"),
])
def test_it_does_the_same_in_less(script, short):
    """Spaces and comments go, names become short, and what has to stay stays."""
    assert shorten(script) == short


def test_the_most_frequent_names_are_the_shortest():
    """There are more names than letters, and none of them becomes a word of the language."""
    names = [f"name{index}" for index in range(3000)]
    script = "".join(f"const {name} = 1;\n" for name in names) + "say(name2999);\n"
    found = re.findall(r"let ([\w$]+)=", shorten(script))
    assert len(set(found)) == len(found) == 3000
    assert not {"do", "if", "in", "of"} & set(found)
    assert shorten(script).endswith("let A=1;say(A);")


def test_a_name_of_the_browser_is_not_taken():
    """A short name that the script uses without declaring it is nobody else's."""
    assert shorten("const one = (name) => a + A + name;") == "let B=(b)=>a+A+b;"


def test_a_name_is_the_same_in_all_of_its_function():
    """Names of a function are numbered in their order, and each function begins again."""
    script = "".join(f"function f{index}(x, y) {{\n  return (z) => x + y + z;\n}}\n"
                     for index in range(2))
    assert shorten(script) == "".join(
        f"function {name}(a,b){{return(c)=>a+b+c}}" for name in "AB")


def test_the_page_keeps_its_texts_and_properties():
    """Each string of the page's script is still there, and so is each property."""
    script = SCRIPT.read_text(encoding="utf-8")
    code = re.sub(r"(?m)^ *//.*$| // [^\"]*$", "", script)
    strings = re.findall(r'"(?:[^"\\\n]|\\.)*"', code)
    properties = set(re.findall(r"(?<![.\d])\.([a-z]\w+)", re.sub(r'"[^"\n]*"', "", code)))
    small = shorten(script)
    assert [text for text in strings if "${" not in text and text not in small] == []
    assert [name for name in properties if not re.search(rf"\b{name}\b", small)] == []
    assert len(small.splitlines()) == 1


def test_the_page_has_no_template_in_another():
    """Templates hold to what is understood of them: no braces, no templates inside."""
    templates = re.findall(r"`(?:[^`\\]|\\.)*`", SCRIPT.read_text(encoding="utf-8"))
    assert len(templates) > 30
    assert [text for text in templates
            if text.count("${") != len(re.findall(r"\$\{[^{}]*\}", text))] == []
