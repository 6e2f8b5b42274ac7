// SPDX-License-Identifier: MIT

//
// From C++17: a class with a destructor as an owning type, and its objects in smart pointers.
//
// Introduces placement new in init and the destructor call in fini; that no exception may leave a callback; and a
// deleter that gives an object back to its pool instead of freeing it.
//
// It checks that the class is constructed once for a thousand uses and destructed once, and that a scope that an
// exception leaves gives its objects back.
//

#include <cerrno>
#include <cstdio>
#include <memory>
#include <new>
#include <opool.h>
#include <stdexcept>
#include <string>
#include <vector>

struct parser {
    std::vector<std::string> tokens;

    parser()
    {
        tokens.reserve(64);
        ++constructed;
    }
    ~parser()
    {
        ++destructed;
    }
    std::size_t parse(const std::string &text)
    {
        tokens.push_back(text);
        if (text.empty())
            throw std::invalid_argument("nothing to parse");
        return tokens.size();
    }
    static inline int constructed = 0, destructed = 0;
};

static int parser_init(parser *slot, void *)
{
    try {
        new (slot) parser;
        return 0;
    } catch (const std::bad_alloc &) {
        return ENOMEM; // get fails with this errno
    }
}

static bool parser_reset(parser *object, void *)
{
    object->tokens.clear();
    return true;
}

static void parser_fini(parser *object, void *)
{
    object->~parser();
}

static opool_footprint parser_footprint(const parser *object, void *)
{
    return {object->tokens.size() * sizeof(std::string), object->tokens.capacity() * sizeof(std::string)};
}

OPOOL_DEFINE_OWNING(parser_pool, parser, parser_footprint, "a vector of tokens", .init = parser_init,
                    .reset = parser_reset, .fini = parser_fini);

struct give_back {
    parser_pool *pool;
    void operator()(parser *object) const noexcept
    {
        parser_pool_put(pool, object);
    }
};
using parser_ptr = std::unique_ptr<parser, give_back>;

static parser_ptr get_parser(parser_pool *pool)
{
    parser *object = parser_pool_get(pool);
    if (!object)
        throw std::bad_alloc();
    return parser_ptr(object, give_back{pool});
}

static bool parse_much(parser_pool *pool)
{
    for (int i = 0; i < 1000; i++)
        if (get_parser(pool)->parse("let x = 1") != 1) // a token of the last use would make it 2
            return false;
    try {
        get_parser(pool)->parse("");
    } catch (const std::invalid_argument &) {
        return true;
    }
    return false;
}

int main()
{
    parser_pool *pool = nullptr;
    opool_stats stats;
    if (parser_pool_create(&pool, nullptr) != 0)
        return 1;
    bool right = parse_much(pool);
    right = opool_stats_read(parser_pool_base(pool), &stats) == 0 && stats.live == 0 && right;
    parser_pool_destroy(&pool);
    std::printf("1001 uses, %d constructed, %d destructed\n", parser::constructed, parser::destructed);
    return right && parser::constructed == 1 && parser::destructed == 1 ? 0 : 1;
}
