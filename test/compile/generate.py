#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test/compile/generate.py [--language c|c++] [--kind KIND] [--structs N] SEED: a file of random pools.

Each struct has a comment with what it holds, at any depth: `pointer`, `union`, `volatile`, `constructor`, a gap's name.
test/compile/random compares that with what compilers say of the pool behind it.

plain    OPOOL_DEFINE: scalars, bit-fields, vectors, arrays, structs and unions within (named, unnamed, anonymous,
         packed, aligned, by typedef), _Atomic, pointers of every kind; half of the structs hold no pointer.
listed   OPOOL_DEFINE_MEMBERS with all direct pointers marked as borrowed; unions and volatile members are marked as
         opaque, or not; what is marked does not count as held.
gaps     what is known to be judged differently by one compiler or another: GAPS.
const    the same of const members, in files of their own: gcc looks for pointers only where nothing else is wrong.
flexible a flexible array member deep inside, which gcc says while it lowers the code, before it looks for pointers.
"""
import argparse
import random

SCALARS = ["char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long",
           "unsigned long", "long long", "unsigned long long", "float", "double", "long double", "enum color",
           "uint8_t", "int32_t", "uint64_t", "size_t", "uintptr_t", "ptrdiff_t", "__int128", "vector_t", "number_t",
           "aligned_t", "bool_t", "complex_t", "ref_t"]
CXX_SCALARS = ["private_numbers_t", "shade_t", "list_t<short, 3>", "derived_t", "throwing_t"]
# {} is the name with its dimensions.
POINTERS = ["void *{}", "char *{}", "const char *{}", "int **{}", "struct opaque *{}", "struct opaque *const *{}",
            "function_t *{}", "pointer_t {}", "const volatile double *{}", "void (*{})(int)", "int (*{})[4]",
            "union either *{}", "char *volatile {}", "int *restrict_ {}", "pointers_t {}", "struct self *{}",
            "char *__attribute__((aligned(16))) {}"]
CXX_POINTERS = ["int member_t::*{}", "void (member_t::*{})()", "decltype(&puts_) {}"]
BITS = ["unsigned {} : %d", "int {} : %d", "unsigned long long {} : %d", "enum color {} : 3", "bool_t {} : 1"]

# What stands in the struct, and who refuses it: the families of test/compile/run.
GAPS = {
    "atomic_pointer": ("struct {{ int n; _Atomic(char *) p; }} {};", {"gcc"}),
    "atomic_struct": ("struct {{ int n; _Atomic(struct holder) p; }} {};", {"gcc"}),
    "zero_length_array": ("int n_; __extension__ char {}[0];", {"g++"}),
    "flexible_array_in_the_last_member": ("__extension__ struct {{ int n; __extension__ char c[]; }} {};",
                                          {"gcc", "g++", "clang", "clang++"}),
    "array_of_one_at_the_end": ("int n_; char {}[1];", set()),
    "number_that_is_a_pointer": ("uintptr_t {};", set()),
    "const_member": ("struct {{ const int n; }} {};", {"gcc", "clang"}),
    "const_member_in_an_array": ("struct {{ const int n; }} {}[2];", {"gcc"}),
    "private_pointer": ("private_pointer_t {};", {"g++", "clang++"}),
    "private_pointers": ("private_pointers_t {};", {"clang++"}),
    "private_union": ("private_union_t {}[2];", {"g++", "clang++"}),
    "private_numbers": ("private_numbers_t {};", set()),
    "private_reference": ("private_reference_t {};", {"g++", "clang++"}),
    "reference": ("int &{};", {"g++", "clang++"}),
    "base_class": ("struct in_{0} : holder {{ int n; }} {0};", {"g++", "clang++"}),
}
ALONE = {"const": {"const_member", "const_member_in_an_array"}, "flexible": {"flexible_array_in_the_last_member"}}
GAP_KINDS = {"gaps", *ALONE}
C_ONLY = {"atomic_pointer", "atomic_struct"}
CXX_ONLY = {"private_pointer", "private_pointers", "private_union", "private_numbers", "private_reference", "reference",
            "base_class"}

PROLOGUE = """#include <opool.h>

enum color { RED, GREEN };
struct opaque;
union either { int i; void *p; };
struct holder { char *p; };
typedef int function_t(int);
typedef char *pointer_t;
typedef void *pointers_t[2];
typedef unsigned char vector_t __attribute__((vector_size(16)));
typedef int aligned_t __attribute__((aligned(2)));
typedef long number_t;
OPOOL_REF_TYPE(ref_t, struct opaque);
"""
PROLOGUES = {
    "c": PROLOGUE + """#define restrict_ restrict
typedef _Bool bool_t;
typedef float _Complex complex_t;
""",
    "c++": PROLOGUE + """#define restrict_ __restrict
typedef bool bool_t;
typedef __complex__ float complex_t;
struct member_t { int n; };
void puts_(const char *);
class private_pointer_t { int n = 0; char *p = nullptr; public: char *get() { return p + n; } };
class private_pointers_t { int n = 0; char *p[2] = {}; public: char *get() { return p[n]; } };
class private_union_t { union { int i; float f; } u = {}; public: int get() { return u.i; } };
enum class shade_t : unsigned char { LIGHT, DARK };
template <class T, int n> struct list_t { T all[n]; T first; };
struct derived_t : member_t { shade_t shade; };
struct throwing_t { int n; throwing_t() : n(1) {} };
class private_numbers_t { double d[3] = {}; long n = 0; public: double get() { return d[n]; } };
class private_reference_t { int &r; public: private_reference_t(int &to) : r(to) {} int get() { return r; } };
""",
}
KINDS = ["plain", "listed", "gaps", *ALONE]
LARGEST = 1 << 16  # bytes of a struct that is used in others; the product of nesting must stay below OPOOL_SIZE_MAX


class Member:
    """Declaration, name (None: anonymous, or no member at all), what it holds, mark for a list, bytes at most."""

    def __init__(self, text, name, holds=(), mark=None, size=16):
        self.text, self.name, self.holds, self.mark, self.size = text, name, frozenset(holds), mark, size


class Pool:
    """Name, what its objects hold, and the line of its definition."""

    def __init__(self, name, holds, line):
        self.name, self.holds, self.line = name, holds, line


class Generator:
    def __init__(self, seed, language="c", kind="plain", structs=400):
        self.random = random.Random("%s %s %s" % (seed, language, kind))
        self.language, self.kind = language, kind
        self.lines = PROLOGUES[language].splitlines()
        self.known = []  # type, holds, size
        self.names = 0
        self.pools = []
        for number in range(structs):
            self.struct("s%d" % number)
        self.text = "\n".join(self.lines) + "\n"

    def name(self):
        self.names += 1
        return "m%d" % self.names

    def dimensions(self):
        """Text and product."""
        sizes = [self.random.choice([1, 2, 3, 7]) for _ in range(self.random.choice([0, 0, 0, 1, 1, 2]))]
        product = 1
        for size in sizes:
            product *= size
        return "".join("[%d]" % size for size in sizes), product

    def pointer(self):
        name, (dimensions, times) = self.name(), self.dimensions()
        kinds = POINTERS + (CXX_POINTERS if self.language == "c++" else [])
        if self.kind == "listed":  # neither pointers to members nor three dimensions can be marked
            kinds = [kind for kind in POINTERS if "pointers_t" not in kind]
        kind = self.random.choice(kinds)
        holds = {"pointer", "volatile"} if "*volatile {}" in kind else {"pointer"}
        if "(16)" in kind:
            dimensions, times = "", 1
        return Member(kind.format(name + dimensions) + ";", name, holds, "OPOOL_BORROWED", 16 * times)

    def scalar(self, depth):
        name, (dimensions, times) = self.name(), self.dimensions()
        qualifier, holds = "", set()
        if self.random.random() < 0.03:
            qualifier, holds = "volatile ", {"volatile"}
        elif self.random.random() < 0.04:
            times, dimensions = 4096 * times, dimensions + "[4096]"
            return Member("char %s%s;" % (name, dimensions), name, size=times)
        elif self.language == "c" and self.random.random() < 0.05:
            type = self.random.choice(["int", "unsigned char", "long long", "double", "bool_t"])
            return Member("_Atomic(%s) %s%s;" % (type, name, dimensions), name, size=8 * times)
        type = self.random.choice(SCALARS)
        if self.language == "c++" and not qualifier and depth == 0 and self.random.random() < 0.06:
            type = self.random.choice([type for type in CXX_SCALARS if (self.kind, type) != ("listed", "derived_t")])
            holds = {"throwing_t": {"constructor"}, "private_numbers_t": {"initialiser"}}.get(type, set())
        return Member("%s%s %s%s;" % (qualifier, type, name, dimensions), name, holds, "OPOOL_OPAQUE", 16 * times)

    def bits(self):
        if self.random.random() < 0.2:
            return Member("unsigned : %d;" % self.random.randint(0, 17), None)
        name, text = self.name(), self.random.choice(BITS)
        text = text % self.random.randint(1, 17) if "%" in text else text
        return Member(text.format(name) + ";", name, mark="OPOOL_BITS")

    def known_struct(self, depth):
        """A union may be around us, unless we are not deep, and can not hold what has to be constructed."""
        name, (dimensions, times) = self.name(), self.dimensions()
        fit = [known for known in self.known[-60:] if depth == 0 or not known[1] & {"constructor", "initialiser"}]
        if not fit:
            return self.scalar(depth)
        type, holds, size = self.random.choice(fit)
        qualifier = ""
        if self.random.random() < 0.03:
            qualifier, holds = "volatile ", holds | {"volatile"}
        return Member("%s%s %s%s;" % (qualifier, type, name, dimensions), name, holds, "OPOOL_OPAQUE", size * times)

    def body(self, pointers, depth, anonymous=False):
        members = [self.member(pointers, depth, anonymous) for _ in range(self.random.randint(1, 4))]
        if not any(member.name for member in members):  # C++ is strict about what has no member at all
            members.append(Member("int %s;" % self.name(), None))
        return (" ".join(member.text for member in members), frozenset().union(*[member.holds for member in members]),
                sum(member.size for member in members))

    def within(self, pointers, depth):
        """A struct or union of its own."""
        anonymous = self.kind != "listed" and self.random.random() < 0.25
        keyword = self.random.choice(["struct", "struct", "union"])
        text, holds, size = self.body(pointers, depth + 1, anonymous)
        if keyword == "union":
            holds |= {"union"}
        if anonymous:
            return Member("__extension__ %s { %s };" % (keyword, text), None, holds, None, size)
        name, (dimensions, times) = self.name(), self.dimensions()
        packed = " __attribute__((packed))" if keyword == "struct" and self.random.random() < 0.1 else ""
        return Member("%s%s { %s } %s%s;" % (keyword, packed, text, name, dimensions), name, holds, "OPOOL_OPAQUE",
                      size * times)

    def member(self, pointers, depth=0, anonymous=False):
        """An anonymous struct of C++ may not define types."""
        chance = self.random.random()
        if self.random.random() < pointers:
            return self.pointer()
        if chance < 0.5:
            return self.scalar(depth)
        if chance < 0.6:
            return self.bits()
        if chance < 0.8 and self.known:
            return self.known_struct(depth)
        if depth < 3 and not (anonymous and self.language == "c++"):
            return self.within(pointers, depth)
        return self.scalar(depth)

    def gap(self):
        other = CXX_ONLY if self.language == "c" else C_ONLY
        kinds = ALONE.get(self.kind) or set(GAPS) - other - set().union(*ALONE.values())
        kind, name = self.random.choice(sorted(kinds)), self.name()
        return Member(GAPS[kind][0].format(name), name, {kind})

    def members(self):
        members = []
        while not any(member.name for member in members):
            pointers = self.random.choice([0, 0, 0.03, 0.15] if self.kind == "plain" else [0, 0.1, 0.2, 0.3])
            if self.kind in GAP_KINDS:
                pointers = 0
            members = [self.member(pointers) for _ in range(self.random.randint(1, 9))]
            if self.kind in GAP_KINDS:
                members = [member for member in members if not member.holds and member.size < LARGEST]
                members.append(self.gap())
            if sum(member.size for member in members) > 64 * LARGEST:
                members = []
            if self.kind == "listed" and sum(1 for member in members if member.name) == 1:
                # One name is counted by size, and can not stand for unnamed bits: give the bits a name then.
                members = [member for member in members if member.name]
        return members

    def definition(self, name, type, members):
        """Text, and what counts as held."""
        if self.kind != "listed":
            return "OPOOL_DEFINE(%s, %s);" % (name, type), frozenset().union(*[member.holds for member in members])
        marks, holds = [], set()
        for member in members:
            if not member.name:
                continue
            mark = member.mark
            if mark == "OPOOL_OPAQUE" and not (member.holds & {"union", "volatile"} and self.random.random() < 0.5):
                mark = None
                holds |= member.holds
            marks.append("%s(%s)" % (mark, member.name) if mark else member.name)
        return "OPOOL_DEFINE_MEMBERS(%s, %s, (%s));" % (name, type, ", ".join(marks)), frozenset(holds)

    def struct(self, name):
        members = self.members()
        attributes = ""
        if self.random.random() < 0.15:
            kinds = ["packed", "packed", "aligned(64)", "packed, aligned(4)"]
            attributes = " __attribute__((%s))" % self.random.choice(kinds)
        if "packed" in attributes: # then lists with an _Atomic member are counted by size, which unnamed bits spoil
            members = [member for member in members if not member.text.startswith("unsigned :")]
        text = "\n".join("    " + member.text for member in members)
        if self.random.random() < 0.2 and "struct self" not in text:
            declaration, type = "typedef struct%s\n{\n%s\n} %s_t;" % (attributes, text, name), name + "_t"
        else:
            declaration = "struct%s %s\n{\n%s\n};" % (attributes, name, text.replace("struct self", "struct " + name))
            type = "struct " + name
        everything = frozenset().union(*[member.holds for member in members])
        size = sum(member.size for member in members) + 64
        definition, counts = self.definition("pool_" + name, type, members)
        self.lines += ["", "/* %s: %s */" % (name, " ".join(sorted(counts)) or "nothing")] + declaration.split("\n")
        self.lines.append(definition)
        self.pools.append(Pool("pool_" + name, counts, len(self.lines)))
        if size <= LARGEST and self.kind not in GAP_KINDS:
            self.known.append((type, everything, size))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", choices=["c", "c++"], default="c")
    parser.add_argument("--kind", choices=KINDS, default="plain")
    parser.add_argument("--structs", type=int, default=400)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    print(Generator(options.seed, options.language, options.kind, options.structs).text, end="")


if __name__ == "__main__":
    main()
