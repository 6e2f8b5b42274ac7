// SPDX-License-Identifier: MIT
// Classes for test/shapes/run; cases.c says what the lines that start with ! mean.
#include <opool.h>
#include <memory>
#include <vector>

#define RECORD(N, T, KIND, MORE) OPOOL__RECORD(N, T, KIND, MORE)

namespace net
{
struct base {
    int id;
    char tag[5];
};
struct derived : base {
    char more;
    double d;
};
OPOOL_DEFINE(derived_pool, derived);
/*
 * ! derived_pool fixed
 * !   hole more +13 3
 */

struct address : base {
    const char *host;
};
RECORD(address_pool, address, "fixed", "")
/*
 * ! address_pool rejected
 * !   reject host +16 to const
 * !   hole struct base +12 4
 */

struct raii {
    int socket;
    ~raii();
};
raii::~raii()
{
}
struct defaulted {
    int socket;
    ~defaulted() = default;
};
class hidden
{
    int a;

  public:
    int b;
    static int count;
    void set(int v)
    {
        a = v;
    }
};
struct poly {
    virtual ~poly()
    {
    }
    int x;
};
struct table {
    virtual int f()
    {
        return 1;
    }
    int x;
};
RECORD(raii_pool, raii, "fixed", "")
OPOOL_DEFINE(defaulted_pool, defaulted);
OPOOL_DEFINE(hidden_pool, hidden);
RECORD(poly_pool, poly, "fixed", "")
RECORD(table_pool, table, "fixed", "")
/*
 * ! raii_pool rejected
 * !   reject - +0 has a destructor
 * ! type net::raii rejected
 * !   reject - +0 has a destructor
 * !   write owning
 * ! defaulted_pool fixed
 * ! hidden_pool fixed
 * ! type hidden fixed
 * !   write owning
 * ! poly_pool rejected
 * !   reject - +0 has a destructor
 * !   hole x +12 4
 * ! table_pool rejected
 * !   reject _vptr* +0 virtual functions
 * !   hole x +12 4
 */

template <class T, int n> struct slots {
    T items[n];
    int used;
    static int total;
};
typedef slots<char, 8> chars;
typedef slots<char *, 8> strings;
OPOOL_DEFINE(chars_pool, chars);
RECORD(strings_pool, strings, "fixed", "")
/*
 * ! chars_pool fixed
 * ! strings_pool rejected
 * !   reject items[] +0 borrowed or owned
 * !   hole used +68 4
 * ! type net::slots<char*, 8> rejected
 * !   reject items[] +0 borrowed or owned
 * !   hole used +68 4
 * !   write fixed owning
 */

struct oddities {
    int &r;
    int base::*data;
    int (base::*function)(int);
    void (*call)();
    decltype(nullptr) nothing;
    enum class colour : unsigned char { red } c;
};
RECORD(oddities_pool, oddities, "fixed", "")
/*
 * ! oddities_pool rejected
 * !   reject r +0 reference
 * !   fine data +8 pointer to member
 * !   fine function +16 pointer to member
 * !   fine call +32 function pointer
 * !   hole c +49 7
 */

struct members {
    int a;
    base *b;
    decltype(nullptr) nothing;
};
OPOOL_DEFINE_MEMBERS(members_pool, members, (a, OPOOL_BORROWED(b), nothing));
/*
 * ! members_pool fixed
 * !   borrowed b +8 declared
 * !   hole a +4 4
 * ! type net::members rejected
 * !   reject b +8 borrowed or owned
 * !   hole a +4 4
 * !   write fixed owning
 */

struct holder {
    std::vector<int> numbers;
    std::unique_ptr<int> one;
};
static opool_footprint holder_footprint(const holder *h, void *)
{
    return {h->numbers.size(), h->numbers.capacity()};
}
OPOOL_DEFINE_OWNING(holder_pool, holder, holder_footprint, "vectors");
RECORD(holder_record, holder, "fixed", "")
/*
 * ! holder_record rejected
 * !   reject numbers +0 has a destructor
 * !   reject one +24 has a destructor
 */

struct middle : virtual base {
    int q;
};
struct outer {
    struct inner {
        int k;
    } i;
};
OPOOL_DEFINE(inner_pool, outer::inner);
/*
 * ! inner_pool fixed
 * ! type outer::inner fixed
 * !   write fixed
 */
} // namespace net

int main()
{
    net::derived_pool *derived;
    net::defaulted_pool *defaulted;
    net::hidden_pool *hidden;
    net::chars_pool *chars;
    net::members_pool *members;
    net::holder_pool *holder;
    net::inner_pool *inner;
    net::middle middle = {};
    net::poly poly = {};
    net::table table = {};
    net::holder held;
    return net::derived_pool_create(&derived, nullptr) | net::defaulted_pool_create(&defaulted, nullptr) |
           net::hidden_pool_create(&hidden, nullptr) | net::chars_pool_create(&chars, nullptr) |
           net::members_pool_create(&members, nullptr) | net::holder_pool_create(&holder, nullptr) |
           net::inner_pool_create(&inner, nullptr) | middle.q | poly.x | table.f() | (int)held.numbers.size();
}
