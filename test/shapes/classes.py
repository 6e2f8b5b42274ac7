# SPDX-License-Identifier: MIT
"""Random C++ types for test/shapes/random: classes with and without constructors, copies and destructors of every kind,
access, bases, many members, local and private types. Every definition that the tool writes has to compile by every
compiler; what is plain has to get one; what has none has to get a reason."""

import re

from common import check, compile, installed

NUMBERS = ["char", "short", "int", "unsigned long", "double", "bool", "colour", "std::atomic<int>", "std::array<short, 3>",
           "pair_t", "std::chrono::steady_clock::time_point"]
PLAIN = 7  # of them
PRELUDE = """#include <opool.h>
#include <array>
#include <atomic>
#include <chrono>
enum class colour : unsigned char { red };
struct pair_t { int a; char b[3]; };
"""
LISTED = ["void *%s", "const char *%s[2]", "void (*%s)(int)", "const int %s", "volatile int %s",
          "union { int i; float f; } %s", "unsigned %s : 3; unsigned : 7"]
IN_NO_LIST = ["int &%s", "int pair_t::*%s", "union { int i%s; short s%s; }", "int *const %s"]
DEFAULTS = ["", "", "", "{0}();", "{0}() = default;", "{0}() = delete;", "explicit {0}();", "{0}(int n);", "{0}(int n = 0);",
            "template <class X> {0}(X x); {0}();"]
COPIES = ["", "", "", "{0}(const {0} &) = default;", "{0}(const {0} &) = delete;", "{0}(const {0} &other);",
          "{0} &operator=(const {0} &) = delete;", "{0} &operator=(const {0} &) = default;",
          "{0} &operator=(const {0} &other);", "{0}({0} &&other);"]
ENDS = ["", "", "", "", "~{0}() = default;", "~{0}();", "virtual ~{0}();"]


class Type:
    """Text of a type, and what is true of it."""

    def __init__(self, rng, number, others):
        self.rng, self.name, self.others = rng, "t%d" % number, others
        self.count = 0
        self.now = "public"  # access of what follows
        self.is_plain = True  # every compiler takes it by OPOOL_DEFINE
        self.has_pointer = self.is_destroyed = self.is_locked = False
        self.style = rng.choice(["plain", "plain", "listed", "listed", "any", "any", "any"])
        self.is_simple = self.style != "any"
        self.where = rng.choice(["", "", "", "namespace", "local", "private"]) if not self.is_simple else ""
        self.text = self.make()

    def make(self):
        rng = self.rng
        word = "struct" if self.is_simple else rng.choice(["struct", "struct", "class"])
        body = "" if word == "struct" else self.access("public")
        bases = self.bases()
        if not self.is_simple and rng.random() < 0.08:
            body += "".join("    int n%d;\n" % n for n in range(rng.choice([120, 128, 129, 200])))
            self.count += body.count(" n")
            self.is_plain = self.is_plain and body.count(" n") + 4 < 128
        for _ in range(rng.randint(1, 4)):
            if not self.is_simple and rng.random() < 0.12:
                body += self.access(rng.choice(["private", "protected", "public"]))
            body += self.member()
        if not self.is_simple:
            body += self.functions()
        if self.where:
            self.is_plain = self.is_plain and self.where == "namespace"
        return "%s %s%s {\n%s};\n" % (word, self.name, bases, body)

    def access(self, what):
        self.is_plain = self.is_plain and what == "public"
        self.now = what
        return "  %s:\n" % what

    def bases(self):
        if self.is_simple or not self.others or self.rng.random() < 0.8:
            return ""
        # What is defaulted below can not be deleted here, as virtual functions would ask.
        base = self.rng.choice([other for other in self.others if "virtual" not in other.text] or [None])
        if not base:
            return ""
        self.take_in(base)
        how = self.rng.choice(["", "public ", "private "])
        self.is_plain = False
        return " : %s%s" % (how, base.path)

    def take_in(self, other):
        self.is_plain = self.is_plain and other.is_plain
        self.has_pointer = self.has_pointer or other.has_pointer
        self.is_destroyed = self.is_destroyed or other.is_destroyed
        self.is_locked = self.is_locked or other.is_locked

    def member(self):
        self.count += 1
        name, kind, array = "m%d" % self.count, self.rng.random(), self.rng.choice(["", "", "", "[2]", "[3][2]"])
        if self.style == "plain":
            return "    %s %s%s;\n" % (self.rng.choice(NUMBERS[:PLAIN]), name, array)
        if kind < 0.25 and self.others:
            other = self.rng.choice(self.others)
            self.take_in(other)
            return "    %s %s%s;\n" % (other.path, name, array)
        if kind < 0.4:
            return self.odd(name)
        self.is_plain = self.is_plain and kind < 0.6
        value = "{}" if kind > 0.9 else ""
        return "    %s %s%s%s;\n" % (self.rng.choice(NUMBERS[:PLAIN] if kind < 0.6 else NUMBERS), name, array, value)

    def odd(self, name):
        self.is_plain = False
        text = self.rng.choice(LISTED if self.style == "listed" else LISTED + IN_NO_LIST)
        self.has_pointer = self.has_pointer or "*" in text or "&" in text
        return "    %s;\n" % text.replace("%s", name)

    def functions(self):
        text = ""
        for choices in DEFAULTS, COPIES, ENDS:
            chosen = self.rng.choice(choices)
            if self.where == "local" and chosen.startswith("template"):
                continue  # not in a function
            if chosen and self.rng.random() < 0.15:
                text += self.access(self.rng.choice(["private", "protected"]))
            if chosen:
                self.is_plain = False
                text += "    %s\n" % chosen.format(self.name)
            self.is_destroyed = self.is_destroyed or chosen.startswith(("~{0}();", "virtual"))
            self.is_locked = self.is_locked or ("~" in chosen and self.now != "public")
        return text

    @property
    def path(self):
        return {"namespace": "space::", "private": "holder_%s::" % self.name}.get(self.where, "") + self.name

    def declaration(self):
        """And a variable, so that it is in the debug information."""
        used = "%s *used_%s;\n" % (self.name, self.name)
        if self.where == "namespace":
            return "namespace space {\n%s%s}\n" % (self.text, used)
        if self.where == "local":
            return "int in_%s() {\n%s    static %s *p;\n    return p != nullptr;\n}\n" % (self.name, self.text, self.name)
        if self.where == "private":
            return "class holder_%s {\n%s    %s *p;\n} *used_%s;\n" % ((self.name, self.text, self.name, self.name))
        return self.text + used


def make(rng, count):
    types = []
    for number in range(count):
        usable = [other for other in types if other.where in ("", "namespace")]
        types.append(Type(rng, number, usable[-12:]))
    return types


def judge(tool, what, file, kind):
    """The definition of one type, after what is known of it."""
    status, pools = tool.pools("-t", kind.path, file)
    if not check(what + ": found", len(pools) != 1 and "%d reports" % len(pools)):
        return None
    pool = pools[0]
    definition, verdicts = pool["definition"], {f["verdict"] for f in pool["findings"]}
    check(what + ": a definition, or a reason", not definition["fixed"] and not definition["changes"] and
          "unchecked" not in verdicts and pool)
    check(what + ": plain", kind.is_plain and (pool["outcome"] != "fixed" or status or definition) and
          not (definition["fixed"] or "").startswith(("OPOOL_DEFINE(", "typedef")) and pool)
    good = definition["fixed"] and not verdicts & {"reject", "unchecked"}
    check(what + ": status", status != (2 if verdicts & {"unchecked"} and "reject" not in verdicts else 0 if good else 1) and
          (status, pool))
    destroyed = [f for f in pool["findings"] if "has a destructor: " in (f["why"] or "")]
    check(what + ": no destructor", destroyed and not kind.is_destroyed and not kind.is_locked and not kind.has_pointer and
          destroyed)
    check(what + ": a destructor", kind.is_destroyed and definition["fixed"])
    return definition


def text_of(header, definitions):
    text = '#include "%s"\n' % header
    for number, form in enumerate(definitions):
        owning = re.search(r"OPOOL_DEFINE_OWNING\(\w+, ([^;]*), (\w+)_footprint,", form)
        if owning:
            text += "opool_footprint %s_footprint(const %s *object, void *arg);\nvoid %s_fini(%s *object, void *arg);\n" % (
                owning.group(2), owning.group(1), owning.group(2), owning.group(1))
        text += form.replace("_pool,", "_%d_pool," % number) + "\n"
    return text


def compare(tool, include, rng, seed, count):
    types = make(rng, count)
    with open("classes.h", "w") as out:
        out.write(PRELUDE + "".join(kind.declaration() for kind in types))
    with open("classes.cpp", "w") as out:
        out.write('#include "classes.h"\nint main() { return 0; }\n')
    compilers = installed("g++", "clang++-14", "clang++-19")
    written = {}
    for compiler in compilers:
        more = ["-fstandalone-debug"] if "clang" in compiler else ["-femit-class-debug-always"]
        version = rng.choice(["4", "5"])
        if not compile("classes", [compiler, "-std=c++17", "-gdwarf-" + version, "-w", "-c", include, "-o",
                                   "classes-%s.o" % compiler, "classes.cpp"] + more):
            continue
        for number, kind in enumerate(types):
            definition = judge(tool, "%s: class t%d of seed %d" % (compiler, number, seed), "classes-%s.o" % compiler, kind)
            for form in ("fixed", "owning"):
                if definition and definition[form]:
                    written.setdefault(definition[form])
    with open("class_definitions.cpp", "w") as out:
        out.write(text_of("classes.h", written))
    for compiler in compilers:
        compile("%d definitions of classes of seed %d" % (len(written), seed),
                [compiler, "-std=c++17", "-fsyntax-only", "-w", include, "class_definitions.cpp"])
