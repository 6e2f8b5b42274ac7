// SPDX-License-Identifier: MIT
// Classes for test/shapes/run; cases.c says what the lines that start with ! mean.
#include <opool.h>
#include <atomic>
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

// What OPOOL_DEFINE may not compile for is a member of a list, opaque, or has no definition.
struct built {
    int n;
    built();
    built(int value);
};
built::built() : n(1)
{
}
struct unbuilt {
    int n;
    unbuilt(int value);
};
struct copied {
    int n;
    copied &operator=(const copied &other);
};
struct holds_built {
    int k;
    built b[2];
    copied c;
};
OPOOL_DEFINE_MEMBERS(holds_built_pool, holds_built, (k, OPOOL_OPAQUE(b), OPOOL_OPAQUE(c)));
struct holds_copied {
    int k;
    copied c[2];
};
struct holds_unbuilt {
    int k;
    unbuilt b;
};
struct holds_hidden {
    int *p;
    hidden h;
};
/*
 * ! holds_built_pool fixed
 * !   opaque b[] +4 your word
 * !   opaque c +12 your word
 * ! type holds_copied fixed
 * !   write fixed
 * ! type built fixed
 * !   write owning
 * ! type holds_unbuilt fixed
 * !   write owning
 * ! type copied fixed
 * !   write owning
 * ! type holds_hidden rejected
 * !   reject p +0 borrowed or owned
 * !   write owning
 */

#define OF_8(m) m##0, m##1, m##2, m##3, m##4, m##5, m##6, m##7
#define OF_64(m) OF_8(m##0), OF_8(m##1), OF_8(m##2), OF_8(m##3), OF_8(m##4), OF_8(m##5), OF_8(m##6), OF_8(m##7)
struct many {
    char OF_64(a), OF_64(b);
};
struct more {
    char OF_64(a), OF_64(b), last;
};
struct holds_more {
    more m;
};
OPOOL_DEFINE(many_pool, many);
OPOOL_DEFINE_MEMBERS(holds_more_pool, holds_more, (OPOOL_OPAQUE(m)));
/*
 * ! many_pool fixed
 * ! holds_more_pool fixed
 * !   opaque m +0 your word
 * ! type many fixed
 * !   write fixed
 * ! type more fixed
 * !   write owning
 * ! type holds_more fixed
 * !   write fixed
 */

class around
{
    struct secret {
        int n;
    } s;

  public:
    struct open {
        int n;
    } o;
    template <class T> struct of {
        T t;
    };
    of<secret> hidden_argument;
    int get() const
    {
        return s.n;
    }
};
/*
 * ! type around::secret fixed
 * !   write none
 * ! type around::open fixed
 * !   write fixed
 * ! type around::of<net::around::secret> fixed
 * !   write none
 */

// Destructors that are defaulted: no copies, so that all compilers pass it by reference.
struct counted {
    std::atomic<int> n;
    std::atomic_flag busy;
};
struct alone {
    int n;
    alone(const alone &) = delete;
    alone() = default;
    ~alone() = default;
};
OPOOL_DEFINE(counted_pool, counted);
OPOOL_DEFINE(alone_pool, alone);
/*
 * ! counted_pool fixed
 * !   hole busy +5 3
 * ! alone_pool fixed
 * ! type counted fixed
 * !   hole busy +5 3
 * !   write fixed
 */
struct guarded : alone {
    char *text;
};
RECORD(guarded_pool, guarded, "fixed", "")
/*
 * ! guarded_pool rejected
 * !   reject text +8 borrowed or owned
 * !   hole struct alone +4 4
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
    net::holds_built_pool *holds_built;
    net::holds_more_pool *holds_more;
    net::many_pool *many;
    net::counted_pool *counted;
    net::alone_pool *alone;
    net::holds_unbuilt *unbuilt = nullptr;
    net::holds_copied *copied = nullptr;
    net::holds_hidden *with_hidden = nullptr;
    net::around around = {};
    struct local {
        int n;
    } local = {1};
    net::slots<struct local, 2> of_local = {};
    net::middle middle = {};
    net::poly poly = {};
    net::table table = {};
    net::holder held;
    return net::derived_pool_create(&derived, nullptr) | net::defaulted_pool_create(&defaulted, nullptr) |
           net::hidden_pool_create(&hidden, nullptr) | net::chars_pool_create(&chars, nullptr) |
           net::members_pool_create(&members, nullptr) | net::holder_pool_create(&holder, nullptr) |
           net::inner_pool_create(&inner, nullptr) | net::holds_built_pool_create(&holds_built, nullptr) |
           net::holds_more_pool_create(&holds_more, nullptr) | net::many_pool_create(&many, nullptr) |
           net::counted_pool_create(&counted, nullptr) | net::alone_pool_create(&alone, nullptr) | !unbuilt | !copied |
           !with_hidden | around.get() | local.n | of_local.used | middle.q | poly.x | table.f() |
           (int)held.numbers.size();
}
