/*
 * srv6pipes_vnf.h - how srv6pipes and its modules talk.  This file is the contract.
 *
 * A module is a shared object (.so).  It offers functions; a function works on the bytes of TCP
 * flows.  The module exports one data symbol, `all_funcs`: an array that describes each function
 * by five calls.  The names are those of the SRv6Pipes thesis, section 3.4.5.
 *
 * TRUST.  A module runs inside srv6pipes, with all its rights: it can read every flow and change
 * the router.  What this file asks for and the host checks prevents accidents, not malice.  That
 * is why the host loads nothing that others than root can write.
 *
 * LIFE CYCLE.
 *
 *     dlopen                                      once per version of the file, never undone
 *       func_init                                 once per `config function` of the configuration
 *         func_route, func_routed                 optional: where a flow goes, before it is spawned
 *         func_spawn                              once per flow
 *           func_process, func_process, ...       any number of times, both directions
 *           func_report, func_report, ...         optional: what the flow has moved so far
 *         func_despawn                            once per flow whose func_spawn returned 0
 *       func_deinit                               once, if func_init returned 0, after the last flow
 *
 * A new version of the file is loaded beside the old one; flows that run keep the old code.
 *
 * THREADS.  Every call carries a tag:
 *   [control-thread]  the one thread that starts and reloads srv6pipes.
 *   [worker-thread]   one of several threads that carry flows.  Calls for one flow never overlap;
 *                     calls for different flows do, also inside one function.  Do not rely on a
 *                     flow always meeting the same thread: keep state in flow_state, not in
 *                     thread-locals.
 *                     A function that needs threads of its own starts them in func_init, ends
 *                     them in func_deinit, and tells a flow of their results by host->wake.
 *   [any-thread]      any of them, with nothing else running in the same function.
 *   [thread-safe]     a call of the host that may be made from everywhere, at any time.
 * Nothing may block: the thread carries other flows too.
 * No C++ exception, Rust panic or longjmp may leave a call.
 *
 * POINTERS handed to a call are valid until it returns, unless this file says otherwise.
 *
 * VERSIONS.  A structure only ever grows at its end, and says how large its writer knew it.  The
 * host refuses a module of another SRV6PIPES_ABI_MAJOR; while the major is 0, the minor must be the
 * host's, too.  From 1.0 on a module of another minor loads, and reads a field beyond the ones
 * below only if struct_size covers it.  What the future brings beyond that comes as an extension,
 * by name (struct srv6pipes_host).
 *
 * C99 and C++ clean.  Copyright: Apache-2.0, as srv6pipes.
 */
#ifndef SRV6PIPES_VNF_H
#define SRV6PIPES_VNF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SRV6PIPES_ABI_MAJOR 0
#define SRV6PIPES_ABI_MINOR 2

/* The host tries again with at least this much room for output, bytes. */
#define SRV6PIPES_MIN_ROOM 4096
/* The most input the host ever offers in one call, and as much as a function may ask to see
 * before it consumes any, bytes. */
#define SRV6PIPES_MAX_WINDOW 65536

/* ---- What the host tells the module ---------------------------------------------------- */

/* Levels of struct srv6pipes_host.log; any other number counts as DEBUG. */
#define SRV6PIPES_LOG_ERROR 1 /* the operator must act */
#define SRV6PIPES_LOG_WARN 2  /* it works, but worse than it should */
#define SRV6PIPES_LOG_INFO 3  /* life cycle, one line each */
#define SRV6PIPES_LOG_DEBUG 4 /* per flow */
#define SRV6PIPES_LOG_TRACE 5 /* per event */

/* What the host does for modules.  The host owns it; it is valid, and stays where it is, as long
 * as the process lives. */
struct srv6pipes_host {
    uint32_t struct_size; /* bytes, as this host knows the structure */

    /* [thread-safe]
     * One line for the log, under the function's name.  `host` is this structure; `message` is
     * UTF-8, ends with NUL, without a line end; more than 1024 bytes are cut. */
    void (*log)(const struct srv6pipes_host *host, uint32_t level, const char *message);

    /* [thread-safe]
     * The extension of that name, SRV6PIPES_COUNTERS for instance, or NULL if this host has none.
     * What is returned lives as long as the process. */
    const void *(*get_extension)(const struct srv6pipes_host *host, const char *id);

    /* [thread-safe]
     * Has func_process called soon, in each direction whose last verdict was SRV6PIPES_WAIT, for
     * the flow of this id (srv6pipes_flow.id).  A flow that is over, or never was, is none of its
     * business: nothing happens.  Several wake-ups may come as one call, and one is for all
     * functions of the flow that wait. */
    void (*wake)(const struct srv6pipes_host *host, uint64_t flow_id);
};

/* Extension: numbers of the function's own, which `srv6pipes status` shows beside the host's. */
#define SRV6PIPES_COUNTERS "srv6pipes.counters/1"

/* One number; opaque. */
struct srv6pipes_counter;

/* What get_extension returns for SRV6PIPES_COUNTERS. */
struct srv6pipes_counters {
    uint32_t struct_size; /* bytes, as this host knows the structure */

    /* [thread-safe]
     * The counter of this name and label, made with 0 if there is none; the same name and label
     * are the same counter for all who open them in one `config function`, also across a reload.
     * `name` is 1 to 63 of a-z, 0-9 and _, and ends in its unit: blocked_flows, sent_bytes,
     * wait_us.  `label` tells counters of one name apart ("rule=ads", "client=2001:db8::1"): UTF-8
     * without control characters, at most 255 bytes, "" for none.  Both are copied.
     * NULL if they are not so, or if the function has 4096 already.  Takes a lock: for
     * beginnings, not for every call of func_process. */
    struct srv6pipes_counter *(*open)(const struct srv6pipes_host *host, const char *name,
                                      const char *label);

    /* [thread-safe] Adds n, or sets it to n.  No lock; NULL is ignored.  Adding is modulo 2^64:
     * 0 - n takes n away again. */
    void (*add)(struct srv6pipes_counter *counter, uint64_t n);
    void (*set)(struct srv6pipes_counter *counter, uint64_t n);

    /* [thread-safe]
     * Gives it back; who has opened it twice does that twice.  What nobody holds is no longer
     * shown.  NULL is ignored. */
    void (*close)(struct srv6pipes_counter *counter);
};

/* One `option` (or one value of a `list`) of the function's UCI section. */
struct srv6pipes_option {
    const char *key;   /* never NULL */
    const char *value; /* never NULL */
};

/* For func_init: what the operator configured.  Valid until func_init returns, except `host`. */
struct srv6pipes_setup {
    uint32_t struct_size; /* bytes, as this host knows the structure */
    uint16_t abi_major;   /* of the host */
    uint16_t abi_minor;
    const char *host_version;               /* "0.1.0": for the log, not for decisions */
    const struct srv6pipes_option *options; /* in the order of the file; NULL if there is none */
    size_t option_count;
    const struct srv6pipes_host *host; /* may be kept */

    /* [control-thread], only during func_init.
     * Tells the operator what is wrong with one of `options`, or with the section as a whole
     * (NULL): `srv6pipes check` prints it with the file and line of just that option.  Call it
     * for every mistake, so that all are told at once, and return another number than 0 then.  A
     * function that complained is not taken, whatever it returns.
     * `message` is UTF-8, ends with NUL, is copied, and does not repeat the option's name. */
    void (*complain)(const struct srv6pipes_setup *setup, const struct srv6pipes_option *option,
                     const char *message);
    uint16_t function_id; /* the section's `option id`: the 16 function bits of its SIDs */
};

/* For func_spawn: the flow. */
struct srv6pipes_flow {
    uint32_t struct_size;       /* bytes, as this host knows the structure */
    uint32_t argument;          /* the low 32 bits of the SID */
    uint8_t client_address[16]; /* IPv6, network order */
    uint8_t server_address[16]; /* the flow's final destination */
    uint16_t client_port;       /* host order */
    uint16_t server_port;

    uint64_t id; /* for host->wake; no other flow of this process has it.  0 in func_route */
    uint64_t choice; /* srv6pipes_route.choice of this function for this flow, 0 if there is none */
};

/* For func_route: where the flow goes from here.  The function may change what is marked [in out]. */
struct srv6pipes_route {
    uint32_t struct_size;       /* bytes, as this host knows the structure */
    uint32_t attempt;           /* 0; then 1, 2, ... each time what was chosen did not answer */
    uint8_t server_address[16]; /* [in out] the final destination */
    uint8_t next_segment[16];   /* [in out] the next segment, if has_next_segment */
    uint16_t server_port;       /* [in out] host order */
    uint16_t has_next_segment;  /* 0: the server is next, next_segment means nothing */
    uint64_t choice;            /* [out] the function's own: comes back in func_routed */
};

/* For func_report: what the flow has moved so far, splice included. */
struct srv6pipes_report {
    uint32_t struct_size; /* bytes, as this host knows the structure */
    uint32_t flags;       /* SRV6PIPES_REPORT_... */
    uint64_t upstream_in_bytes;    /* read from the client */
    uint64_t upstream_out_bytes;   /* written towards the server */
    uint64_t downstream_in_bytes;  /* read from the server's side */
    uint64_t downstream_out_bytes; /* written to the client */
    uint64_t age_us;        /* since the client's connection was accepted */
    uint64_t client_rtt_us; /* round trip of the client's handshake; 0: not known */
    uint64_t connect_us;    /* how long the next segment took to answer; 0: it has not */
    uint64_t first_byte_us; /* from accept to the first byte from the server; 0: none came */
};

/* Flags of func_report; bits not listed are zero now and to be ignored. */
#define SRV6PIPES_REPORT_LAST 1u /* the flow is over; func_despawn follows */

/* ---- What a function answers ------------------------------------------------------------ */

/* Directions of func_process. */
#define SRV6PIPES_UPSTREAM 0   /* client to server */
#define SRV6PIPES_DOWNSTREAM 1 /* server to client */

/* Flags of func_process; bits not listed are zero now and to be ignored. */
#define SRV6PIPES_END 1u /* `in` is the last input of this direction */

/* Verdicts of func_process.  They concern the direction of the call unless they say otherwise. */
#define SRV6PIPES_MORE 0     /* call again when there is more input or more room */
#define SRV6PIPES_FINISHED 1 /* the direction ends after what was produced; other input is dropped */
#define SRV6PIPES_PASS 2     /* what comes after `consumed` goes on untouched, by the kernel */
#define SRV6PIPES_CLOSE 3    /* both directions: deliver what was produced, then end in order */
#define SRV6PIPES_RESET 4    /* both directions: reset now; what was produced is dropped */
#define SRV6PIPES_ERROR 5    /* the function failed: the operator's `on_failure` decides */
/* As MORE, but what the function waits for is not only input or room: it is called
 * again, too, when the flow is woken (host->wake), or once wait_ms have passed if that is not 0.
 * What it did not consume waits, and is offered again with what arrives, or at the wake-up.  Doing
 * nothing is always an answer with WAIT. */
#define SRV6PIPES_WAIT 6

/* Answer of func_process. */
struct srv6pipes_result {
    size_t consumed;  /* bytes taken from the front of `in`; at most in_len */
    size_t produced;  /* bytes written to the front of `out`; at most out_cap */
    uint32_t verdict; /* one of the above */
    uint32_t wait_ms; /* read with SRV6PIPES_WAIT only: milliseconds; 0 is no limit */
};

/* How often func_route is called for one flow, at most. */
#define SRV6PIPES_ROUTE_ATTEMPTS 8
/* How long what it chose may take to answer, at most, milliseconds: three SYNs. */
#define SRV6PIPES_ROUTE_PATIENCE_MS 3000

/* Events of func_routed. */
#define SRV6PIPES_ROUTE_CONNECTED 0 /* what was chosen has answered */
#define SRV6PIPES_ROUTE_FAILED 1    /* it has refused, cannot be reached, or gave no answer in time */
#define SRV6PIPES_ROUTE_DROPPED 2   /* the flow ended for another reason before that was known */
#define SRV6PIPES_ROUTE_ENDED 3     /* after CONNECTED: the flow is over */

/* ---- What the module tells the host ----------------------------------------------------- */

/* Bits of `capabilities`.  Bits not listed are for later: set them to zero; this host ignores
 * them. */

/* The function never looks at a byte, nor at a flow.  The host may leave out func_spawn,
 * func_process and func_despawn and let the kernel move the bytes from the first one on.  It asks
 * func_route, if there is one, all the same. */
#define SRV6PIPES_CAP_PASS_AT_ONCE (UINT64_C(1) << 0)

/* func_init reads files (lists, keys): `srv6pipes reload` makes the function anew for
 * new flows though its section did not change. */
#define SRV6PIPES_CAP_READS_FILES (UINT64_C(1) << 1)

/* The function speaks first: func_process is called in each direction as soon as both ends of the
 * flow are connected, with in_len 0 where nothing has arrived yet. */
#define SRV6PIPES_CAP_SPEAKS_FIRST (UINT64_C(1) << 2)

/* No flow may go on without the function, not even when it fails: `option on_failure 'pass'` is a
 * mistake in its section. */
#define SRV6PIPES_CAP_FAILS_CLOSED (UINT64_C(1) << 3)

/* One function.  The host reads it, and the texts it points to, right after dlopen and runs
 * nothing for that (but what the module has itself run at dlopen: its constructors).  Everything
 * here is constant, owned by the module, and lies in its image. */
struct srv6pipes_func {
    uint16_t abi_major;   /* SRV6PIPES_ABI_MAJOR */
    uint16_t abi_minor;   /* SRV6PIPES_ABI_MINOR */
    uint32_t struct_size; /* sizeof(struct srv6pipes_func): also the stride of the array */

    /* UTF-8 without control characters, ended by NUL, never NULL. */
    const char *name;    /* what `option name` says: 1 to 63 bytes, unique in the module */
    const char *summary; /* one line for people, at most 255 bytes */
    const char *version; /* of the function, at most 63 bytes */

    uint64_t capabilities; /* SRV6PIPES_CAP_... */

    /* These five are there; none may be NULL. */

    /* [control-thread]
     * Makes the function ready for one `config function` section.  Several sections may name the
     * same function: each gets a state of its own.  `*function_state` is NULL at the call; what
     * it is set to, NULL too, is handed to func_spawn and func_deinit and belongs to the module.
     * Returns 0, or another number to refuse: the configuration is then not taken, the number is
     * told to the operator if there is no complaint (log the reason), and neither func_spawn nor
     * func_deinit is called.
     * `srv6pipes check` calls it too, in a process of its own, and func_deinit after it; no flow
     * comes in between.  There, and at a reload, the state that serves flows now lives on beside
     * the new one: what both would write to (a file, a port) is for func_spawn to open. */
    int (*func_init)(const struct srv6pipes_setup *setup, void **function_state);

    /* [worker-thread]
     * A flow begins.  `*flow_state` is NULL at the call; what it is set to, NULL too, is handed
     * to func_process and func_despawn and belongs to the module.
     * Returns 0, or another number to refuse: the flow then ends by the operator's `on_failure`,
     * and neither func_process nor func_despawn is called for it. */
    int (*func_spawn)(void *function_state, const struct srv6pipes_flow *flow, void **flow_state);

    /* [worker-thread]
     * Takes bytes of one direction from `in`, gives bytes to `out`, as many as it likes of each.
     * Both directions of a flow share flow_state and never run at once.
     *
     * What the host promises:
     *   - `in` and `out` do not overlap.  in_len is at most SRV6PIPES_MAX_WINDOW and may be 0;
     *     `in` must not be read then.  out_cap is at least 1.
     *   - Input that was not consumed comes again, in front of what arrived since.
     *   - After SRV6PIPES_MORE it calls again when there is input this call did not consume and
     *     this call did something; or when input arrived; or when less than SRV6PIPES_MIN_ROOM of
     *     `out` was left and there is room again, then perhaps with in_len 0.  So a function keeps
     *     back output only if it does not fit.
     *   - After SRV6PIPES_WAIT it calls again when input arrived or room as above, and at the
     *     wake-up or after the time that WAIT names; not before, whatever was left unconsumed.
     *   - A call that consumed and produced nothing, with SRV6PIPES_MORE, is repeated only with
     *     more input or more room: out_cap is then SRV6PIPES_MIN_ROOM or more, and a function
     *     that waits for input is offered up to SRV6PIPES_MAX_WINDOW of it.
     *   - Once SRV6PIPES_END was given, it is given in every later call of the direction, with
     *     the input that is left and in the end with in_len 0, until the function says
     *     SRV6PIPES_FINISHED.  A direction that is reset gets no SRV6PIPES_END.
     *   - After FINISHED or PASS no call for this direction; after CLOSE or RESET none but
     *     func_report and func_despawn; after ERROR, and after an answer that breaks a promise,
     *     none but func_despawn.
     *
     * What the host checks, and ends the flow by the operator's `on_failure` if it does not hold:
     *   - consumed <= in_len, produced <= out_cap, the verdict is listed above;
     *   - SRV6PIPES_MORE with nothing consumed and nothing produced is no answer once the host
     *     has no more to offer: with SRV6PIPES_MIN_ROOM or more of room, and either
     *     SRV6PIPES_MAX_WINDOW of input or SRV6PIPES_END. */
    struct srv6pipes_result (*func_process)(void *flow_state, uint32_t direction,
                                            const uint8_t *in, size_t in_len,
                                            uint8_t *out, size_t out_cap, uint32_t flags);

    /* [worker-thread]
     * The flow is over, whichever way: free flow_state. */
    void (*func_despawn)(void *flow_state);

    /* [any-thread]
     * The function is no longer configured and its last flow is over: free function_state.  The
     * code stays in memory. */
    void (*func_deinit)(void *function_state);

    /* Optional calls: NULL for those a function does not want. */

    /* [worker-thread]
     * Before the flow is spawned and its next segment connected: may choose another server or
     * another next segment.  `flow` is as the client asked for it.  A host that runs several
     * functions for the flow asks them in the order of travel; each sees in `route` what those
     * before it chose, and func_spawn sees the end of it.
     * If nothing answers there within the operator's connect_timeout, or within
     * SRV6PIPES_ROUTE_PATIENCE_MS if that is less, the host calls func_routed with FAILED and then
     * func_route again, with `attempt` one higher and everything else as it was at first, up to
     * SRV6PIPES_ROUTE_ATTEMPTS calls in all.
     * Returns 0, or another number: there is nowhere to go (any more).  The flow is then refused,
     * and the client sees what came of the last attempt, if there was one.
     * Needs no func_spawn to have succeeded, nor the flow to come about.
     * What the host checks, and refuses the flow for if it does not hold: what is not marked is as
     * it was, server and next segment are addresses of one host and not of the host's own machine,
     * nor SIDs of its own, and the port is not 0. */
    int (*func_route)(void *function_state, const struct srv6pipes_flow *flow,
                      struct srv6pipes_route *route);

    /* [worker-thread]
     * What became of a choice that func_route returned 0 for: exactly one of CONNECTED, FAILED and
     * DROPPED, and after CONNECTED one ENDED.  NULL only if func_route is.  A choice the host does
     * not take (above) is DROPPED. */
    void (*func_routed)(void *function_state, uint64_t choice, uint32_t event);

    /* [worker-thread]
     * The flow's numbers, whenever the operator asks for the status and once, with
     * SRV6PIPES_REPORT_LAST, before func_despawn; also for a function that passes, but not for one
     * that failed (func_process). */
    void (*func_report)(void *flow_state, const struct srv6pipes_report *report);
};

#if defined(__GNUC__)
#define SRV6PIPES_EXPORT __attribute__((visibility("default")))
#else
#define SRV6PIPES_EXPORT
#endif

/* The last entry of all_funcs: all zero. */
#ifdef __cplusplus
#define SRV6PIPES_LAST_FUNC {}
#else
#define SRV6PIPES_LAST_FUNC {0}
#endif

/* The module defines this: 1 to 64 functions, then SRV6PIPES_LAST_FUNC. */
SRV6PIPES_EXPORT extern const struct srv6pipes_func all_funcs[];

#ifdef __cplusplus
}
#endif

#endif /* SRV6PIPES_VNF_H */
