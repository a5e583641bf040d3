/*
 * The function `xor` in C: every byte, both ways, XORed with one byte.  A starting point for a
 * module of your own; ../srv6pipes-vnf/include/srv6pipes_vnf.h says the rest.
 *
 *     config function
 *             option id '1'
 *             option module 'libxor_c.so'
 *             option name 'xor'
 *             option mask '255'           # ours: XORed into the key of every flow
 */
#include <stdlib.h>
#include <string.h>

#include "srv6pipes_vnf.h"

/* One per `config function` section. */
struct function {
    uint8_t mask;
};

/* One per flow. */
struct flow {
    uint8_t key;
};

static int init(const struct srv6pipes_setup *setup, void **function_state)
{
    struct function *function;
    unsigned long mask = 0;
    int refused = 0;

    /* The options die with this call: keep what you make of them. */
    for (size_t i = 0; i < setup->option_count; i++) {
        const struct srv6pipes_option *option = &setup->options[i];
        char *rest;

        if (strcmp(option->key, "mask") != 0) {
            setup->complain(setup, option, "no such option");
            refused = 1;
            continue;
        }
        mask = strtoul(option->value, &rest, 0);
        if (*option->value == '\0' || *rest != '\0' || mask > UINT8_MAX) {
            setup->complain(setup, option, "must be a number from 0 to 255");
            refused = 1;
        }
    }
    if (refused)
        return 1; /* the operator reads the complaints, each with its line */
    function = malloc(sizeof *function);
    if (function == NULL)
        return 1;
    function->mask = (uint8_t)mask;
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
    flow->key = (uint8_t)(info->argument ^ function->mask);
    *flow_state = flow;
    return 0;
}

static struct srv6pipes_result process(void *flow_state, uint32_t direction,
                                       const uint8_t *in, size_t in_len,
                                       uint8_t *out, size_t out_cap, uint32_t flags)
{
    const struct flow *flow = flow_state;
    size_t n = in_len < out_cap ? in_len : out_cap;
    struct srv6pipes_result result = {n, n, SRV6PIPES_MORE, 0};

    (void)direction; /* both ways alike */
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] ^ flow->key;
    /* Only when the last byte is through is the direction finished. */
    if ((flags & SRV6PIPES_END) && n == in_len)
        result.verdict = SRV6PIPES_FINISHED;
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
        .name = "xor",
        .summary = "XORs every byte with the low 8 bits of the argument",
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
