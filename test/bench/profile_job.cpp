/* SPDX-License-Identifier: MIT */

/* A job that allocates all the time, as C++ programs do: maps of strings, filled, searched and emptied. For
   test/bench/profile. */
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

struct order {
    std::string customer;
    std::vector<int> items;
};

static unsigned long state = 1;

static unsigned draw(unsigned below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state >> 33) % below;
}

static order make_order(unsigned number)
{
    order made;
    made.customer = "customer number " + std::to_string(number) + " of many";
    for (unsigned i = 0; i < 1 + number % 5; i++)
        made.items.push_back(static_cast<int>(i));
    return made;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 10;
    unsigned long sum = 0;
    for (unsigned round = 0; round < rounds; round++) {
        std::map<unsigned, order> by_number;
        std::unordered_map<std::string, unsigned> by_customer;
        for (unsigned i = 0; i < 20000; i++) {
            unsigned number = draw(10000);
            auto found = by_number.find(number);
            if (found != by_number.end()) {
                by_customer.erase(found->second.customer);
                by_number.erase(found);
            } else {
                auto added = by_number.emplace(number, make_order(number)).first;
                by_customer[added->second.customer] = number;
            }
        }
        sum += by_number.size() + by_customer.size();
    }
    std::printf("%lu\n", sum);
    return 0;
}
