"""``--format`` as docker has it: what Go's text/template makes of the same templates."""

from __future__ import annotations

import pytest

from stackup.base.errors import UsageError
from stackup.cli.formats import checked
from stackup.cli.templates import listed, render

DATA = {
    "Id": "sha256:0123",
    "Os": "linux",
    "Size": 3,
    "Dead": False,
    "Tags": [],
    "Config": {"Env": ["A=1", "B=2"], "Cmd": None, "Labels": {"z": "y", "a.b": 'c "d"'}},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("id {{.Id}}!", "id sha256:0123!"),
        ("{{json .Config.Env}}", '["A=1","B=2"]'),
        ("{{json .Config.Nothing}}", "null"),
        ('{{json "<&é>"}}', '"<&é>"'),
        ("{{.Config.Env}} {{.Config.Labels}}", '[A=1 B=2] map[a.b:c "d" z:y]'),
        ("{{.Config.Cmd}} {{.Dead}} {{.Config.Nothing.More}}", "<nil> false <no value>"),
        ('{{index .Config.Labels "a.b"}}{{index .Config.Env 1}}', 'c "d"B=2'),
        ('{{(index .Config.Env 0)}} {{ (index . "Config").Cmd }}', "A=1 <nil>"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{end}}", "A=1,B=2"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", 'a.b=c "d";z=y;'),
        ("{{range .Tags}}{{.}}{{else}}none{{end}}", "none"),
        ("{{with .Variant}}/{{.}}{{else}}-{{end}}{{with $x := .Os}}{{$x}}{{.}}{{end}}", "-linuxlinux"),
        ('{{if eq .Os "aix" "linux"}}1{{else}}2{{end}}', "1"),
        ('{{if .Dead}}1{{else if and .Id (not .Config.Cmd)}}2{{else}}3{{end}}{{or "" "b"}}', "2b"),
        ('{{$x := .Os}}{{if true}}{{$x = "z"}}{{end}}{{$x}}{{$.Size}}', "z3"),
        ('{{ .Id | printf "%-6s|%5d|%q" .Os 3 }}', 'linux |    3|"sha256:0123"'),
        ('{{printf "%v %t %5.2f %%" .Size true 3.14159}}', "3 true  3.14 %"),
        ('{{join (split "a,b" ",") "-"}} {{upper .Os}} {{title "ab cd"}} {{pad "x" 1 2}}|', "a-b LINUX Ab Cd  x  |"),
        ("{{len .Config.Env}}{{len .Os}}{{slice .Id 7}}{{slice .Id 0 3}}{{truncate .Id 2}}", "250123shash"),
        ('{{print 1 2 "a" "b" 3}}{{"a\\tb"}}{{`raw\\n`}}', "1 2ab3a\tbraw\\n"),
        ("a {{- /* trimmed */ -}} b{{- .Size }} {{ ne 1 2 }}{{lt 1 2}}{{ge 1 2}}", "ab3 truetruefalse"),
    ],
)
def test_as_go_has_it(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.Nope}}", "there is no field 'Nope'"),
        ("{{.Size.X}}", "3 has no field 'X'"),
        ("{{$y}}", "there is no variable \\$y"),
        ("{{$y = 1}}", "there is no variable \\$y"),
        ("{{foo .}}", "there is no function 'foo'"),
        ("{{index .Config.Env 7}}", "index cannot be applied"),
        ("{{range .Size}}{{end}}", "range over 3, which is not a list"),
        ("{{if .Id}}", "there is no {{end}}"),
        ("{{end}}", "nothing is open"),
        ("{{.Id", "there is no }} to it"),
        ("{{}}", "a value is missing"),
        ("{{(.Id}}", "there is no \\) to a \\("),
        ("{{.Id ?}}", "'\\?' is not understood"),
        ("{{.Id .Os}}", "'.Os' is not expected there"),
        ('{{template "x"}}', "template is not supported"),
        ("{{if .Id}}{{else range}}{{end}}", "neither else nor else if"),
    ],
)
def test_what_cannot_be_used(template: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        render(template, DATA)


def test_lists_and_tables() -> None:
    rows = [{"ID": "1", "CreatedSince": "now", "Tag": "a"}, {"ID": "22", "CreatedSince": "then", "Tag": "b"}]
    assert listed("{{.ID}}\\t{{.Tag}}", rows) == "1\ta\n22\tb\n"
    table = listed("table {{.ID}}\\t{{.CreatedSince}}", rows, {"ID": "IMAGE ID"})
    assert table == "IMAGE ID   CREATED SINCE\n1          now\n22         then\n"
    assert listed("table {{upper .Tag}}", []) == "TAG\n"


def test_words_beside_templates() -> None:
    check = checked("table", "json")
    for text in ("table", "json", "{{.ID}}", "table {{.ID}}"):
        check(text)
    with pytest.raises(ValueError, match="'yaml' is not one of table, json, nor a template"):
        check("yaml")
