/* SPDX-License-Identifier: MIT */

/* Nothing: that this program links is the test (test/layers/meson.build). */
int main(void)
{
    return 0;
}
