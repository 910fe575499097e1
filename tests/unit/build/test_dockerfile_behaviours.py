"""What each piece of the Dockerfile language makes of an image: a table. No commands run; the layers are real.

A case: its name, the Dockerfile, the files of the context, and facts about the image (see ``View.fact``). Where facts
are a string, the build is refused with that reason.
"""
# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import os
from pathlib import Path

import pytest
from build_support import Bench, View, no_registry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files in layers need root")

Files = dict[str, str]  # content; "-> x": a link; a name may end in "!MODE"
Case = tuple[str, str, Files, dict[str, object] | str]
S = "FROM scratch\n"
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
B = "FROM base\n"
A = {"a": "A"}
DIR = {"d/x": "X", "d/y.txt": "Y", "d/s/z": "Z"}
TREE = {"p/q/one.txt": "1", "p/q/two.md": "2", "p/r/one.txt": "3"}

LANGUAGE: list[Case] = [
    ("a directive sets the escape", "# escape=`\nFROM scratch\nENV A=`\n1 P=C:\\x\n", {}, {"env.A": "1", "env.P": "C:\\x"}),
    ("directives end at the first comment", "# note\n# escape=`\nFROM scratch\nENV A=\\\n1\n", {}, {"env.A": "1"}),
    ("two directives of one name", "# escape=`\n# escape=`\nFROM scratch\n", {}, "two escape directives"),
    ("syntax and check directives", "# syntax=docker/dockerfile:1\n# check=skip=all\nfrom scratch\n", {}, {"layers": 0}),
    ("comments inside a continued line", S + "ENV A=1 \\\n# no\n   # nor this\n B=2\n", {}, {"env.A": "1", "env.B": "2"}),
    ("blanks behind the escape", S + "ENV A=1 \\  \n B=2\n", {}, {"env.B": "2"}),
    ("an escaped escape ends the line", S + 'ENV A="x\\\\"\nENV B=2\n', {}, {"env.A": "x\\", "env.B": "2"}),
    ("a continued line in the middle of a word", S + "ENV ABC=de\\\nfg\n", {}, {"env.ABC": "defg"}),
    ("scratch has BuildKit's configuration", S + "ENV A=$PATH:/own\n", {},
     {"env.PATH": USUAL_PATH, "working_dir": "/", "env.A": f"{USUAL_PATH}:/own"}),
    ("keywords in any case", "fRoM scratch\neNv A=1\n", {}, {"env.A": "1"}),
    ("Windows line ends", "FROM scratch\r\nENV A=1 \\\r\n B=2\r\n", {}, {"env.A": "1", "env.B": "2"}),
    ("a byte order mark", "\ufeffFROM scratch\nENV A=1\n", {}, {"env.A": "1"}),
    ("# inside a line is no comment", S + "ENV A=#1 B=x#y\n", {}, {"env.A": "#1", "env.B": "x#y"}),
    ("no instruction", "# nothing\n", {}, "holds no instructions"),
    ("a flag twice", S + "COPY --chown=1 --chown=2 a /\n", A, "--chown is given twice"),
    ("a flag without its value", S + "COPY --chown a /\n", A, "--chown needs a value"),
    ("a switch that is no switch", S + "COPY --link=maybe a /\n", A, "must be true or false"),
]  # fmt: skip

VARIABLES: list[Case] = [
    ("braces and none", S + "ENV A=1\nENV B=$A-${A}x\n", {}, {"env.B": "1-1x"}),
    ("a default for unset and empty", S + "ENV E=\nENV A=${U:-d} B=${E:-d} C=${E-d} D=${U-d}\n", {},
     {"env.A": "d", "env.B": "d", "env.C": "", "env.D": "d"}),
    ("an alternative", S + "ENV E= F=x\nENV A=${F:+y} B=${E:+y} C=${E+y} D=${U+y}.\n", {},
     {"env.A": "y", "env.B": "", "env.C": "y", "env.D": "."}),
    ("a demand", S + 'ENV A="${U:?say it}"\n', {}, "U: say it"),
    ("a demand that is met", S + 'ENV U=1\nENV A="${U:?say it}"\n', {}, {"env.A": "1"}),
    ("the shortest prefix", S + "ENV V=foobarbaz\nENV A=${V#*ba}\n", {}, {"env.A": "rbaz"}),
    ("the longest prefix", S + "ENV V=foobarbaz\nENV A=${V##*ba}\n", {}, {"env.A": "z"}),
    ("the shortest suffix", S + "ENV V=foobarbaz\nENV A=${V%ba*}\n", {}, {"env.A": "foobar"}),
    ("the longest suffix", S + "ENV V=foobarbaz\nENV A=${V%%ba*}\n", {}, {"env.A": "foo"}),
    ("one replacement", S + "ENV V=foobarbaz\nENV A=${V/ba/X}\n", {}, {"env.A": "fooXrbaz"}),
    ("all replacements", S + "ENV V=foobarbaz\nENV A=${V//ba/X}\n", {}, {"env.A": "fooXrXz"}),
    ("patterns with ? and an escape", S + "ENV V=a/b\nENV A=${V/\\//-} B=${V#?}\n", {}, {"env.A": "a-b", "env.B": "/b"}),
    ("nested", S + "ENV D=deep\nENV A=${U:-${W:-$D}}\n", {}, {"env.A": "deep"}),
    ("escaped", S + "ENV D=1\nENV A=\\$D B=\\${D}\n", {}, {"env.A": "$D", "env.B": "${D}"}),
    ("single quotes keep, double quotes do not", S + "ENV D=1\nENV A='$D' B=\"$D\"\n", {}, {"env.A": "$D", "env.B": "1"}),
    ("an instruction sees what was before it", S + "ENV A=old\nENV A=new B=$A\nENV C=$A\n", {},
     {"env.B": "old", "env.C": "new"}),
    ("quotes inside of a word", S + "ENV A=a\"b c\"d'e f'\n", {}, {"env.A": "ab cde f"}),
    ("an open quote", S + "ENV A='x\n", {}, "single-quote"),
    ("no closing brace", S + "ENV A=${B\n", {}, "cannot ENV"),
    ("an unknown modifier", S + "ENV A=${B!x}\n", {}, "unsupported modifier"),
    ("the old form of ENV", S + 'ENV A one  "two" three\n', {}, {"env.A": "one  two three"}),
    ("ENV without a value", S + "ENV A\n", {}, "A has no value"),
    ("LABEL expands names and values", S + "ENV V=x\nLABEL a.$V=\"$V y\" 'b c'=d\n", {},
     {"labels.a.x": "x y", "labels.b c": "d"}),
    ("LABEL continued over lines", S + 'LABEL a="1" \\\n  b="2"\n', {}, {"labels.a": "1", "labels.b": "2"}),
    ("USER, WORKDIR, EXPOSE, VOLUME and STOPSIGNAL expand",
     B + "ENV U=alice D=/w P=80 S=INT\nUSER $U\nWORKDIR $D\nEXPOSE $P/udp\nVOLUME $D/v\nSTOPSIGNAL SIG$S\n", {},
     {"user": "alice", "working_dir": "/w", "exposed_ports": ["80/udp"], "volumes": ["/w/v"], "stop_signal": "SIGINT"}),
    ("CMD, ENTRYPOINT and HEALTHCHECK do not", S + 'ENV A=1\nCMD ["$A"]\nENTRYPOINT x $A\nHEALTHCHECK CMD y $A\n', {},
     {"cmd": ["$A"], "entrypoint": ["/bin/sh", "-c", "x $A"]}),
    ("COPY expands sources and destination", S + "ENV N=a D=/to\nCOPY $N ${D}/b\n", A, {"/to/b": "A"}),
    ("COPY expands --chown and --chmod", S + "ARG U=7 M=600\nCOPY --chown=$U:8 --chmod=$M a /\n", A,
     {"/a owner": "7:8", "/a mode": "600"}),
    ("--from does not expand", S + "ARG F=base\nCOPY --from=$F /file /\n", {}, "--from knows no variables"),
]  # fmt: skip

ARGUMENTS: list[Case] = [
    ("a default", S + "ARG A=1\nENV B=$A\n", {}, {"env.B": "1", "env.A": None}),
    ("several at once, in order", S + "ARG A=1 B=${A}2\nENV C=$B\n", {}, {"env.C": "12"}),
    ("before FROM only for FROM", "ARG A=base\nFROM $A\nENV B=x$A\n", {}, {"env.B": "x", "/file": "a file"}),
    ("taken over by name", "ARG A=1\nFROM scratch\nARG A\nENV B=$A\n", {}, {"env.B": "1"}),
    ("a default of its own wins over that before FROM", "ARG A=1\nFROM scratch\nARG A=2\nENV B=$A\n", {}, {"env.B": "2"}),
    ("ends with its stage", "FROM scratch AS x\nARG A=1\nFROM scratch\nENV B=x$A\n", {}, {"env.B": "x"}),
    ("goes on in a stage made from it", "FROM scratch AS x\nARG A=1\nFROM x\nENV B=$A\n", {}, {"env.B": "1"}),
    ("ENV below ARG wins", S + "ARG A=1\nENV A=2\nENV B=$A\n", {}, {"env.B": "2"}),
    ("ARG below ENV wins", S + "ENV A=1\nARG A=2\nENV B=$A\n", {}, {"env.B": "2", "env.A": "1"}),
    ("without a value it changes nothing", S + "ENV A=1\nARG A\nENV B=$A\n", {}, {"env.B": "1"}),
    ("platform arguments have to be named", S + "ENV B=x$TARGETOS\nARG TARGETOS\nENV C=$TARGETOS\n", {},
     {"env.B": "x", "env.C": "linux"}),
    ("a default of a platform argument wins", S + "ARG TARGETARCH=mine\nENV C=$TARGETARCH\n", {}, {"env.C": "mine"}),
    ("platform arguments in FROM", "FROM --platform=$BUILDPLATFORM base\nARG BUILDOS\nENV A=$BUILDOS\n", {},
     {"env.A": "linux"}),
    ("the stage that is asked for", S + "ARG TARGETSTAGE\nENV A=$TARGETSTAGE\n", {}, {"env.A": "default"}),
    ("the stage that is the last", "FROM scratch AS Fin\nARG TARGETSTAGE\nENV A=$TARGETSTAGE\n", {}, {"env.A": "fin"}),
    ("several, with quotes, taken over", "ARG a1=\"foo bar\" a2=box\nARG a3=\"$a2-foo\"\nFROM scratch\nARG a3 a4=\"1 2\" a1\nENV A=\"$a1:$a3:$a4\"\n", {},
     {"env.A": "foo bar:box-foo:1 2"}),
    ("a demand in a default", 'ARG F=${F:?"custom error"}\nFROM scratch\n', {}, "F: custom error"),
    ("in the name of a stage's base", "ARG V=latest\nFROM base:${V} AS x\n", {}, {"/file": "a file"}),
    ("an empty base", "ARG A\nFROM $A\n", {}, "base name is empty"),
    ("no name of a variable", S + "ARG 1x=2\n", {}, "no name of a variable"),
]  # fmt: skip

STAGES: list[Case] = [
    ("AS in any case, names without case", "FROM scratch As One\nCOPY a /\nFROM scratch\nCOPY --from=ONE /a /b\n", A,
     {"/b": "A"}),
    ("by number", "FROM scratch\nCOPY a /\nFROM scratch\nCOPY --from=0 /a /b\n", A, {"/b": "A"}),
    ("a number that no stage has", S + "COPY --from=5 /a /\n", {}, "have the numbers 0 to 0"),
    ("a stage below", "FROM scratch AS x\nCOPY --from=y /a /b\nFROM scratch AS y\nCOPY a /\nFROM x\n", A, {"/b": "A"}),
    ("a base that is a stage", "FROM base AS x\nENV A=1\nFROM x AS y\nFROM Y\n", {}, {"env.A": "1", "/file": "a file"}),
    ("the later of two stages of one name", "FROM scratch AS x\nENV A=1\nFROM scratch AS x\nENV A=2\nFROM x\n", {},
     {"env.A": "2"}),
    ("a stage hides an image", "FROM scratch AS base\nENV A=1\nFROM base\n", {}, {"env.A": "1", "/file": None}),
    ("an image in --from", S + "COPY --from=base /file /\n", {}, {"/file": "a file"}),
    ("a bad name", "FROM scratch AS 1x\n", {}, "cannot name a stage"),
    ("a stage that needs itself", "FROM scratch AS x\nCOPY --from=x /a /\n", {}, "takes files from itself"),
    ("stages that need each other", "FROM scratch AS x\nCOPY --from=y /a /\nFROM scratch AS y\nCOPY --from=x /a /\n", {},
     r"the stages need each other \(x -> y -> x\)"),
    ("stages of which nobody asks for any", "FROM scratch AS x\nCOPY --from=1 /a /\nFROM x\nFROM scratch AS fin\n", {},
     r"the stages need each other \(x -> stage-1 -> x\)"),
    ("instructions before FROM", "ENV A=1\nFROM scratch\n", {}, "stands before the first FROM"),
    ("another platform", "FROM --platform=linux/s390x base\n", {}, "cannot build FROM base for linux/s390x"),
    ("ONBUILD runs in the next stage and is gone", "FROM scratch AS x\nONBUILD COPY a /t\nONBUILD ENV A=1\nFROM x\n", A,
     {"/t": "A", "env.A": "1", "on_build": []}),
    ("ONBUILD is kept in its own", S + "ONBUILD COPY a /t\n", {}, {"on_build": ["COPY a /t"]}),
    ("ONBUILD with a heredoc", "FROM scratch AS x\nONBUILD COPY <<E /t\nhi\nE\nFROM x\n", {}, {"/t": "hi\n"}),
    ("ONBUILD of a stage", "FROM scratch AS s\nCOPY a /\nFROM scratch AS x\nONBUILD COPY --from=s /a /b\nFROM x\n", A,
     {"/b": "A"}),
    ("ONBUILD ONBUILD", S + "ONBUILD ONBUILD ENV A=1\n", {}, "not allowed behind ONBUILD"),
    ("stages that are not needed are not looked at", "FROM nowhere AS x\nRUN never\nFROM scratch\n", {}, {"layers": 0}),
]  # fmt: skip

CONFIGURATION: list[Case] = [
    ("CMD in a shell", S + "CMD a  b\n", {}, {"cmd": ["/bin/sh", "-c", "a  b"]}),
    ("CMD as a list", S + 'CMD [ "a", "b c" ]\n', {}, {"cmd": ["a", "b c"]}),
    ("CMD with nothing", S + "CMD []\n", {}, {"cmd": []}),
    ("single quotes make no list", S + "CMD ['a']\n", {}, {"cmd": ["/bin/sh", "-c", "['a']"]}),
    ("the last CMD counts", S + 'CMD ["a"]\nCMD ["b"]\n', {}, {"cmd": ["b"]}),
    ("ENTRYPOINT drops the base's CMD", 'FROM scratch AS x\nCMD ["a"]\nFROM x\nENTRYPOINT ["e"]\n', {},
     {"cmd": None, "entrypoint": ["e"]}),
    ("ENTRYPOINT keeps its own stage's", S + 'CMD ["a"]\nENTRYPOINT ["e"]\n', {}, {"cmd": ["a"]}),
    ("SHELL for what follows", S + 'CMD a\nSHELL ["bash", "-lc"]\nENTRYPOINT b\n', {},
     {"cmd": ["/bin/sh", "-c", "a"], "entrypoint": ["bash", "-lc", "b"], "shell": ["bash", "-lc"]}),
    ("SHELL wants a list", S + "SHELL bash\n", {}, "JSON list"),
    ("EXPOSE of ranges, protocols and twice", S + "EXPOSE 80 8000-8001/UDP\nEXPOSE 80/tcp 9/sctp\n", {},
     {"exposed_ports": ["80/tcp", "8000/udp", "8001/udp", "9/sctp"]}),
    ("EXPOSE of an address and a host port", S + "EXPOSE 127.0.0.1:80:8080 53:54/udp\n", {},
     {"exposed_ports": ["54/udp", "8080/tcp"]}),
    ("EXPOSE of a list in a variable", S + 'ARG P="3000 4000/udp"\nEXPOSE $P\nEXPOSE 5000\n', {},
     {"exposed_ports": ["3000/tcp", "4000/udp", "5000/tcp"]}),
    ("EXPOSE of no port", S + "EXPOSE http\n", {}, "'http' is not a port"),
    ("VOLUME of words and as a list", S + 'VOLUME /a /b\nVOLUME ["/c d"]\n', {}, {"volumes": ["/a", "/b", "/c d"]}),
    ("VOLUME of nothing", S + "VOLUME []\n", {}, "needs at least one path"),
    ("RUN of nothing", S + "RUN []\n", {}, "the list names no command"),
    ("STOPSIGNAL by number and without SIG", "FROM scratch AS x\nSTOPSIGNAL 9\nFROM x\nSTOPSIGNAL RTMIN+3\n", {},
     {"stop_signal": "RTMIN+3"}),
    ("STOPSIGNAL of nothing known", S + "STOPSIGNAL SIGNOTHING\n", {}, "is not a signal"),
    ("MAINTAINER", S + "MAINTAINER Jo <jo@x.org>\n", {}, {"author": "Jo <jo@x.org>"}),
    ("USER with a group", S + "USER 1000:staff\n", {}, {"user": "1000:staff"}),
    ("WORKDIR relative to the one before", S + "WORKDIR /a\nWORKDIR b/../c\n", {}, {"working_dir": "/a/c", "/a/c": "a directory"}),
    ("WORKDIR through a link of the image", B + "WORKDIR /lib/w\n", {}, {"/usr/lib/w": "a directory", "/lib link": "usr/lib"}),
    ("WORKDIR belongs to USER", B + "USER alice\nWORKDIR /home/alice\n", {}, {"/home/alice owner": "1000:1001"}),
    ("WORKDIR that is there stays", B + "USER alice\nWORKDIR /full\n", {}, {"/full owner": "0:0", "layers": 1}),
    ("HEALTHCHECK with everything", S + "HEALTHCHECK --interval=1m --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD a b\n",
     {}, {"healthcheck": {"test": ["CMD-SHELL", "a b"], "interval": 60 * 10**9, "timeout": 2 * 10**9,
          "start_period": 3 * 10**9, "start_interval": 4 * 10**9, "retries": 5}}),
    ("HEALTHCHECK as a list", S + 'HEALTHCHECK CMD ["a", "b"]\n', {}, {"healthcheck": {"test": ["CMD", "a", "b"],
     "interval": 0, "timeout": 0, "start_period": 0, "start_interval": 0, "retries": 0}}),
    ("HEALTHCHECK that is too short", S + "HEALTHCHECK --interval=1us CMD a\n", {}, "shorter than 1ms"),
    ("HEALTHCHECK NONE with more", S + "HEALTHCHECK NONE x\n", {}, "takes nothing behind it"),
    ("ENV of the base can be changed, not lost", B + "ENV PATH=/mine:$PATH\n", {},
     {"env.PATH": "/mine:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}),
]  # fmt: skip

COPIES: list[Case] = [
    ("a file to a name", S + "COPY a /x/y\n", A, {"/x/y": "A", "/x": "a directory"}),
    ("a file into a directory", S + "COPY a /x/\n", A, {"/x/a": "A"}),
    ("a file into a directory that is there", B + "COPY a /full\n", A, {"/full/a": "A"}),
    ("relative to WORKDIR", S + "WORKDIR /w\nCOPY a .\nCOPY a ./b/\n", A, {"/w/a": "A", "/w/b/a": "A"}),
    ("the content of a directory", S + "COPY d /x\n", DIR, {"/x names": "s x y.txt", "/x/s/z": "Z"}),
    ("a directory with a slash", S + "COPY d/ /x/\n", DIR, {"/x names": "s x y.txt"}),
    ("everything", S + "COPY . /\n", {**A, **DIR}, {"/a": "A", "/d/s/z": "Z"}),
    ("several need a directory", S + "COPY a d/x /x\n", {**A, **DIR}, "several sources need a directory"),
    ("several into a directory", S + "COPY a d /x/\n", {**A, **DIR}, {"/x names": "a s x y.txt"}),
    ("as a list, with blanks in names", S + 'COPY ["a b", "/x y/"]\n', {"a b": "1"}, {"/x y/a b": "1"}),
    ("a name with an escaped blank", S + "COPY a\\ b /x\n", {"a b": "1"}, {"/x": "1"}),
    ("a name in quotes", S + 'COPY "a b" /x\n', {"a b": "1"}, {"/x": "1"}),
    ("a star stays in its directory", S + "COPY *.txt /x/\n", {"1.txt": "1", "d/2.txt": "2"}, {"/x names": "1.txt"}),
    ("a star for directories takes their content", S + "COPY d* /x/\n", {**DIR, "d2/w": "W"}, {"/x names": "s w x y.txt"}),
    ("a star in the middle", S + "COPY */x /x/\n", {**DIR, "e/x": "2"}, {"/x/x": "2"}),
    ("a question mark and a set", S + "COPY ?1 [b-c]2 /x/\n", {"a1": "", "b2": "", "d2": ""}, {"/x names": "a1 b2"}),
    ("a negated set", S + "COPY [^a]1 /x/\n", {"a1": "", "b1": ""}, {"/x names": "b1"}),
    ("an escaped star", S + 'COPY ["a\\\\\\\\*", "/x/"]\n', {"a*": "1", "ab": "2"}, {"/x names": "a*"}),
    ("brackets by a set", S + "COPY arr[[]0].txt /x/\n", {"arr[0].txt": "1", "arr0.txt": "2"}, {"/x names": "arr[0].txt"}),
    ("hidden files count for a star", S + "COPY * /x/\n", {".h": "1", "a": "2"}, {"/x names": ".h a"}),
    ("a star that finds nothing", S + "COPY none* /x/\nCOPY a /\n", A, {"/a": "A"}),
    ("a name that is not there", S + "COPY none /x\n", {}, "there is no 'none' in the build context"),
    ("out of the context", S + "COPY ../../etc/passwd /x\n", {}, "there is no '../../etc/passwd'"),
    ("a link is followed", S + "COPY l /x\n", {**A, "l": "-> a"}, {"/x": "A"}),
    ("links below are kept", S + "COPY . /x\n", {**A, "l": "-> a"}, {"/x/l link": "a"}),
    ("a link in the destination", B + "COPY a /lib/a\n", A, {"/usr/lib/a": "A", "/lib link": "usr/lib"}),
    ("--link does not follow it", B + "COPY --link a /lib/a\n", A, {"/lib/a": "A", "/usr/lib/a": None}),
    ("a directory onto a file", B + "COPY d /file\n", DIR, "there is a file of that name"),
    ("modes are kept, owners are root's", S + "COPY a /\n", {"a!640": "A"}, {"/a mode": "640", "/a owner": "0:0"}),
    ("--chown by number", S + "COPY --chown=5 d /x\n", DIR, {"/x owner": "5:5", "/x/s/z owner": "5:5"}),
    ("--chown by names", B + "COPY --chown=alice:staff a /\n", A, {"/a owner": "1000:50"}),
    ("--chown by name alone", B + "COPY --chown=alice a /\n", A, {"/a owner": "1000:1001"}),
    ("--chown of a group by name", B + "COPY --chown=3:staff a /\n", A, {"/a owner": "3:50"}),
    ("--chown of nobody known", B + "COPY --chown=bob a /\n", A, "no such user"),
    ("--chown makes parents that are new", S + "COPY --chown=5:6 a /x/y\n", A, {"/x owner": "5:6"}),
    ("--chmod in octal", S + "COPY --chmod=4711 a /\n", A, {"/a mode": "4711"}),
    ("--chmod in letters", S + "COPY --chmod=u=rwx,g+w,o-r a /\n", {"a!644": "A"}, {"/a mode": "760"}),
    ("--chmod X for directories only", S + "COPY --chmod=a=,u=rX d /x\n", DIR, {"/x/s mode": "500", "/x/x mode": "400"}),
    ("--chmod of one class from another", S + "COPY --chmod=g=u a /\n", {"a!640": "A"}, {"/a mode": "660"}),
    ("--chmod without a class minds the umask", S + "COPY --chmod=+w a /\n", {"a!444": "A"}, {"/a mode": "644"}),
    ("--chmod of nonsense", S + "COPY --chmod=u+q a /\n", A, "nor a symbolic one"),
    ("--chmod in octal is that of new parents, too", S + "COPY --chmod=770 a /p/q/a\n", A, {"/p mode": "770", "/p/q mode": "770"}),
    ("a new directory is not like its source", "FROM scratch AS s\nCOPY --chown=100:200 d /d\nFROM scratch\nCOPY --from=s /d /n\n",
     {"d/x!640": "", "d/e/f": ""}, {"/n owner": "0:0", "/n mode": "755", "/n/x owner": "100:200", "/n/e owner": "100:200"}),
    ("an empty destination is the directory that one is in", S + 'WORKDIR /w\nENV E=""\nCOPY a $E\n', A, {"/w/a": "A"}),
    ("one file that a star finds takes the new name", S + "COPY */q/two.md /n\n", TREE, {"/n": "2"}),
    ("links that a star finds are followed", S + "COPY l* /x/\n", {**A, "l1": "-> a", "l2": "-> l1"}, {"/x/l1": "A", "/x/l2": "A"}),
    ("through a link to a directory", S + "COPY l/x /x\n", {**DIR, "l": "-> d"}, {"/x": "X"}),
    ("a link in the destination that leads nowhere", "FROM scratch AS s\nCOPY . /\nFROM s\nCOPY a /l/\n", {**A, "l": "-> ../tmp/t"},
     {"/tmp/t/a": "A", "/l link": "../tmp/t"}),
    ("names of all kinds", S + "COPY test-äöü.txt test-%C3%A4 a+b /x/\n", {"test-äöü.txt": "", "test-%C3%A4": "", "a+b": ""},
     {"/x names": "a+b test-%C3%A4 test-äöü.txt"}),
    ("--parents", S + "COPY --parents p/q/one.txt /x/\n", TREE, {"/x/p/q/one.txt": "1", "/x/p/q names": "one.txt"}),
    ("--parents with a star", S + "COPY --parents p/*/one.txt /x/\n", TREE, {"/x/p/q/one.txt": "1", "/x/p/r/one.txt": "3"}),
    ("--parents from a point on", S + "COPY --parents p/./q/one.txt /x/\n", TREE, {"/x/q/one.txt": "1", "/x/p": None}),
    ("--parents with **", S + "COPY --parents **/*.txt /x/\n", TREE, {"/x/p/q names": "one.txt", "/x/p/r names": "one.txt"}),
    ("--parents of a directory", S + "COPY --parents p/q /x/\n", TREE, {"/x/p names": "q", "/x/p/q names": "one.txt two.md"}),
    ("--parents of nothing", S + "COPY --parents p/none /x/\n", TREE, "there is no 'p/none'"),
    ("--parents of a stage, with stars before and behind the point",
     "FROM scratch AS s\nCOPY p /t/p\nFROM scratch\nCOPY --from=s --parents /t/p/*/./one.txt /t/./p/q /x/\n", TREE,
     {"/x/one.txt": "3", "/x/p/q names": "one.txt two.md"}),
    ("--exclude in a directory", S + "COPY --exclude=*.txt d /x\n", DIR, {"/x names": "s x"}),
    ("--exclude with **", S + "COPY --exclude=**/*.txt p /x\n", TREE, {"/x/q names": "two.md", "/x/r names": ""}),
    ("--exclude of files that a star finds", S + "COPY --exclude=*.md --exclude=c* * /x/\n", {"a": "", "b.md": "", "cc": ""},
     {"/x names": "a"}),
    ("--exclude with an exception", S + "COPY --exclude=s --exclude=!s/z d /x\n", {**DIR, "d/s/w": "W"}, {"/x/s names": "z"}),
    ("heredocs as files", S + "COPY <<one <<two /x/\n1\none\n2\ntwo\n", {}, {"/x/one": "1\n", "/x/two": "2\n"}),
    ("a heredoc to a name, with variables", S + "ENV V=1\nCOPY <<E /x\n$V ${U:-u} \"q\" \\$V\nE\n", {}, {"/x": '1 u "q" $V\n'}),
    ("escapes in a heredoc", S + "COPY <<E /x\n\\\n\\\\\n\\$\na\\b\nE\n", {}, {"/x": "\n\\\n$\nab\n"}),
    ("escapes in a quoted heredoc", S + 'COPY <<"E" /x\n\\\n\\\\\n\\$\nE\n', {}, {"/x": "\\\n\\\\\n\\$\n"}),
    ("a quoted heredoc keeps them", S + "ENV V=1\nCOPY <<'E' /x\n$V\nE\n", {}, {"/x": "$V\n"}),
    ("<<- cuts tabs off", S + "COPY <<-E /x\n\t\ta\n\tb\n\tE\n", {}, {"/x": "a\nb\n"}),
    ("a heredoc beside a file", S + "COPY a <<E /x/\ntext\nE\n", A, {"/x/a": "A", "/x/E": "text\n"}),
    ("a heredoc with --chmod and --chown", S + "COPY --chmod=755 --chown=3:4 <<E /x\n#!\nE\n", {}, {"/x mode": "755", "/x owner": "3:4"}),
    ("a heredoc that never ends", S + "COPY <<E /x\ntext\n", {}, "heredoc E is not ended"),
    ("a heredoc as destination", S + "COPY a <<E\nx\nE\n", A, "destination cannot be a heredoc"),
    ("a file replaces a file and keeps its directory", B + "COPY a /full/old\n", A, {"/full/old": "A", "/full names": "old"}),
    ("a directory merges", B + "COPY d /full\n", DIR, {"/full names": "old s x y.txt"}),
    ("hard links stay hard links", "FROM scratch AS s\nADD h.tar /\nFROM scratch\nCOPY --from=s / /x/\n", {"h.tar": "@hardlinks"},
     {"/x/one links": 2, "/x/two": "1"}),
]  # fmt: skip

IGNORED: list[Case] = [
    ("patterns, comments and blanks", S + "COPY . /\n", {".dockerignore": "# note\n\n*.log\n  b  \n", "a.log": "", "b": "", "c": "", "d/e.log": ""},
     {"/c": "", "/a.log": None, "/b": None, "/d/e.log": ""}),
    ("** and exceptions, in order", S + "COPY . /\n", {".dockerignore": "**/*.log\n!keep.log\n!d/*.log\nd/no.log\n", "a.log": "", "keep.log": "",
     "d/yes.log": "", "d/no.log": ""}, {"/a.log": None, "/keep.log": "", "/d/yes.log": "", "/d/no.log": None}),
    ("all but one", S + "COPY . /\n", {".dockerignore": "*\n!src\n", "a": "", "src/b": ""}, {"/a": None, "/src/b": ""}),
    ("slashes at both ends", S + "COPY . /\n", {".dockerignore": "/d/\n", "d/x": "", "e/d": ""}, {"/d": None, "/e/d": ""}),
    ("an ignored file cannot be copied", S + "COPY a /\n", {".dockerignore": "a\n", "a": ""}, "excluded by .dockerignore"),
    ("a star does not find it", S + "COPY * /\n", {".dockerignore": "a\n.dockerignore", "a": "", "b": ""}, {"/b": "", "/a": None}),
    ("stages are not ruled by it", "FROM scratch AS s\nCOPY b /a\nFROM scratch\nCOPY --from=s /a /\n", {".dockerignore": "a\n", "b": "B"},
     {"/a": "B"}),
    ("a pattern that is malformed", S + "COPY . /\n", {".dockerignore": "a[\n"}, "cannot use .dockerignore"),
]  # fmt: skip

TABLE = {
    "language": LANGUAGE, "variables": VARIABLES, "arguments": ARGUMENTS, "stages": STAGES,
    "configuration": CONFIGURATION, "copies": COPIES, "ignored": IGNORED,
}  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builds")


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{part}: {case[0]}") for part, cases in TABLE.items() for case in cases]
)
def test_behaviour(case: Case, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_registry(monkeypatch)
    _, text, files, wanted = case
    bench = Bench(tmp_path, state)
    for name, content in files.items():
        _write(bench, name, content)
    if isinstance(wanted, str):
        bench.refused(text, wanted)
        return
    view = View(bench, bench.build(text, tags=()))
    assert {question: view.fact(question) for question in wanted} == wanted


def _write(bench: Bench, name: str, content: str) -> None:
    path, _, mode = name.partition("!")
    place = bench.context / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if content.startswith("-> "):
        place.symlink_to(content.removeprefix("-> "))
    elif content == "@hardlinks":
        from tests.support.archives import Archive

        place.write_bytes(Archive().add("one", b"1").hardlink("two", "one").data())
    else:
        bench.file(path, content, int(mode or "644", 8))
