/*
 * The function `upper` in C: ASCII capitals towards the client.  Copy the folder and start from
 * here; ../srv6pipes-vnf/include/srv6pipes_vnf.h says the rest.
 *
 *     config function
 *             option id '7'
 *             option module 'libupper.so'
 *             option name 'upper'
 *             option limit '4096'         # ours: so many bytes of each flow; without it, all
 *
 * An argument that is not 0 is the limit instead.
 */
#include <stdlib.h>
#include <string.h>

#include "srv6pipes_vnf.h"

/* One per `config function` section. */
struct function {
    uint32_t limit; /* 0: none */
};

/* One per flow. */
struct flow {
    int limited;
    uint32_t left;
};

static int init(const struct srv6pipes_setup *setup, void **function_state)
{
    struct function *function;
    unsigned long limit = 0;
    int refused = 0;

    /* The options die with this call: keep what you make of them. */
    for (size_t i = 0; i < setup->option_count; i++) {
        const struct srv6pipes_option *option = &setup->options[i];
        char *rest;

        if (strcmp(option->key, "limit") != 0) {
            setup->complain(setup, option, "no such option");
            refused = 1;
            continue;
        }
        limit = strtoul(option->value, &rest, 0);
        /* strtoul would take blanks and a sign as well. */
        if (*option->value < '0' || *option->value > '9' || *rest != '\0' || limit < 1 ||
            limit > 1000000) {
            setup->complain(setup, option, "must be a number from 1 to 1000000");
            refused = 1;
        }
    }
    if (refused)
        return 1; /* the operator reads the complaints, each with its line */
    function = malloc(sizeof *function);
    if (function == NULL)
        return 1;
    function->limit = (uint32_t)limit;
    *function_state = function;
    return 0;
}

static int spawn(void *function_state, const struct srv6pipes_flow *info, void **flow_state)
{
    /* Several threads are here at once: read the function's state, do not write it. */
    const struct function *function = function_state;
    struct flow *flow = malloc(sizeof *flow);

    if (flow == NULL)
        return 1; /* refused: this flow ends, others go on */
    flow->left = info->argument != 0 ? info->argument : function->limit;
    flow->limited = flow->left != 0;
    *flow_state = flow;
    return 0;
}

static struct srv6pipes_result process(void *flow_state, uint32_t direction,
                                       const uint8_t *in, size_t in_len,
                                       uint8_t *out, size_t out_cap, uint32_t flags)
{
    struct flow *flow = flow_state;
    size_t n = in_len < out_cap ? in_len : out_cap;
    struct srv6pipes_result result = {0, 0, SRV6PIPES_PASS, 0};

    /* Nothing to do here, nor behind the limit: the kernel moves those bytes. */
    if (direction == SRV6PIPES_UPSTREAM)
        return result;
    if (flow->limited && n > flow->left)
        n = flow->left;
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] >= 'a' && in[i] <= 'z' ? in[i] - 'a' + 'A' : in[i];
    result.consumed = result.produced = n;
    if (flow->limited && (flow->left -= (uint32_t)n) == 0)
        return result;
    /* Only when the last byte is through is the direction finished. */
    result.verdict = (flags & SRV6PIPES_END) && n == in_len ? SRV6PIPES_FINISHED : SRV6PIPES_MORE;
    return result;
}

static void despawn(void *flow_state)
{
    free(flow_state);
}

static void deinit(void *function_state)
{
    free(function_state);
}

const struct srv6pipes_func all_funcs[] = {
    {
        .abi_major = SRV6PIPES_ABI_MAJOR,
        .abi_minor = SRV6PIPES_ABI_MINOR,
        .struct_size = sizeof(struct srv6pipes_func),
        .name = "upper",
        .summary = "ASCII capitals towards the client",
        .version = "0.1.0",
        .capabilities = 0,
        .func_init = init,
        .func_spawn = spawn,
        .func_process = process,
        .func_despawn = despawn,
        .func_deinit = deinit,
    },
    SRV6PIPES_LAST_FUNC,
};
