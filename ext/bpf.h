/* Classic BPF: a validated program over one frame.
 *
 * specification: McCanne and Jacobson, The BSD Packet Filter, USENIX 1993; bpf(4) of FreeBSD; linux/filter.rst. What is
 * not in them follows libpcap, whose compiler writes the programs: MOD and XOR, and jumps back, which it needs for
 * chains of IPv6 extension headers.
 */
#ifndef SPANLINE_BPF_H
#define SPANLINE_BPF_H

#include "bytes.h"

typedef struct {
    uint16_t code;
    uint8_t jump_true; /* instructions to pass over */
    uint8_t jump_false;
    uint32_t k;
} bpf_instruction;
STATIC_ASSERT(sizeof(bpf_instruction) == 8, "bpf_instruction");

enum {
    BPF_SCRATCH = 16, /* words of memory that a program has */
    /* Linux keeps what a frame's bytes do not tell (direction, interface) at offsets from here on. */
    BPF_BEYOND_FRAME = 0xFFE00000,
};

/* class | size or operation | mode or source; the names are those of the papers above */
enum bpf_code {
    BPF_LD_W_ABS = 0x20,
    BPF_LD_H_ABS = 0x28,
    BPF_LD_B_ABS = 0x30,
    BPF_LD_W_IND = 0x40,
    BPF_LD_H_IND = 0x48,
    BPF_LD_B_IND = 0x50,
    BPF_LD_IMM = 0x00,
    BPF_LD_MEM = 0x60,
    BPF_LD_LEN = 0x80,
    BPF_LDX_IMM = 0x01,
    BPF_LDX_MEM = 0x61,
    BPF_LDX_LEN = 0x81,
    BPF_LDX_MSH = 0xB1,
    BPF_ST = 0x02,
    BPF_STX = 0x03,
    BPF_ADD_K = 0x04,
    BPF_SUB_K = 0x14,
    BPF_MUL_K = 0x24,
    BPF_DIV_K = 0x34,
    BPF_OR_K = 0x44,
    BPF_AND_K = 0x54,
    BPF_LSH_K = 0x64,
    BPF_RSH_K = 0x74,
    BPF_NEG = 0x84,
    BPF_MOD_K = 0x94,
    BPF_XOR_K = 0xA4,
    BPF_ADD_X = 0x0C,
    BPF_SUB_X = 0x1C,
    BPF_MUL_X = 0x2C,
    BPF_DIV_X = 0x3C,
    BPF_OR_X = 0x4C,
    BPF_AND_X = 0x5C,
    BPF_LSH_X = 0x6C,
    BPF_RSH_X = 0x7C,
    BPF_MOD_X = 0x9C,
    BPF_XOR_X = 0xAC,
    BPF_JA = 0x05,
    BPF_JEQ_K = 0x15,
    BPF_JGT_K = 0x25,
    BPF_JGE_K = 0x35,
    BPF_JSET_K = 0x45,
    BPF_JEQ_X = 0x1D,
    BPF_JGT_X = 0x2D,
    BPF_JGE_X = 0x3D,
    BPF_JSET_X = 0x4D,
    BPF_RET_K = 0x06,
    BPF_RET_A = 0x16,
    BPF_TAX = 0x07,
    BPF_TXA = 0x87,
};

enum bpf_fault {
    BPF_VALID,
    BPF_UNKNOWN_CODE,
    BPF_JUMPS_OUT,
    BPF_NO_SUCH_MEMORY,
    BPF_DIVIDES_BY_ZERO,
    BPF_WITHOUT_END, /* it could run past its last instruction */
    BPF_NOT_IN_FRAME, /* it asks for what only a live capture knows */
};

static inline int bpf_validate_one(const bpf_instruction *i, uint32_t at, uint32_t count) {
    const uint32_t behind = count - at - 1; /* instructions after this one */
    switch (i->code) {
    case BPF_LD_W_ABS:
    case BPF_LD_H_ABS:
    case BPF_LD_B_ABS:
        return i->k >= (uint32_t)BPF_BEYOND_FRAME ? BPF_NOT_IN_FRAME : BPF_VALID;
    case BPF_LD_MEM:
    case BPF_LDX_MEM:
    case BPF_ST:
    case BPF_STX:
        return i->k < BPF_SCRATCH ? BPF_VALID : BPF_NO_SUCH_MEMORY;
    case BPF_DIV_K:
    case BPF_MOD_K:
        return i->k ? BPF_VALID : BPF_DIVIDES_BY_ZERO;
    case BPF_JA: /* k is signed */
        return i->k < behind || (i->k >= 0x80000000U && 0U - i->k <= at + 1) ? BPF_VALID : BPF_JUMPS_OUT;
    case BPF_JEQ_K:
    case BPF_JGT_K:
    case BPF_JGE_K:
    case BPF_JSET_K:
    case BPF_JEQ_X:
    case BPF_JGT_X:
    case BPF_JGE_X:
    case BPF_JSET_X:
        return i->jump_true < behind && i->jump_false < behind ? BPF_VALID : BPF_JUMPS_OUT;
    case BPF_LD_W_IND:
    case BPF_LD_H_IND:
    case BPF_LD_B_IND:
    case BPF_LD_IMM:
    case BPF_LD_LEN:
    case BPF_LDX_IMM:
    case BPF_LDX_LEN:
    case BPF_LDX_MSH:
    case BPF_ADD_K:
    case BPF_SUB_K:
    case BPF_MUL_K:
    case BPF_OR_K:
    case BPF_AND_K:
    case BPF_LSH_K:
    case BPF_RSH_K:
    case BPF_NEG:
    case BPF_XOR_K:
    case BPF_ADD_X:
    case BPF_SUB_X:
    case BPF_MUL_X:
    case BPF_DIV_X:
    case BPF_OR_X:
    case BPF_AND_X:
    case BPF_LSH_X:
    case BPF_RSH_X:
    case BPF_MOD_X:
    case BPF_XOR_X:
    case BPF_RET_K:
    case BPF_RET_A:
    case BPF_TAX:
    case BPF_TXA:
        return BPF_VALID;
    default:
        return BPF_UNKNOWN_CODE;
    }
}

/* Whether bpf_run() may run it: BPF_VALID, or what is wrong with instruction `*where`. */
static inline int bpf_validate(const bpf_instruction *program, uint32_t count, uint32_t *where) {
    for (*where = 0; *where < count; ++*where) {
        int fault = bpf_validate_one(&program[*where], *where, count);
        if (fault != BPF_VALID) {
            return fault;
        }
    }
    const uint32_t last = count ? program[count - 1].code : BPF_LD_IMM;
    return last == BPF_RET_K || last == BPF_RET_A || last == BPF_JA ? BPF_VALID : BPF_WITHOUT_END;
}

/* The big-endian word, half-word or byte at `at` + `further`; 0 when the frame does not have all of it. */
#define BPF_LOAD(name, type, read)                                                                                     \
    ALWAYS_INLINE int name(bytes_view frame, uint32_t at, uint32_t further, uint32_t *value) {                         \
        const uint64_t place = (uint64_t)at + further;                                                                 \
        if (UNLIKELY(place + sizeof(type) > frame.length)) {                                                           \
            return 0;                                                                                                  \
        }                                                                                                              \
        *value = read(frame, (uint32_t)place);                                                                         \
        return 1;                                                                                                      \
    }
BPF_LOAD(bpf_load_word, uint32_t, view_be32)
BPF_LOAD(bpf_load_half, uint16_t, view_be16)
BPF_LOAD(bpf_load_byte, uint8_t, view_u8)
#undef BPF_LOAD

/* What the program returns for a frame of which `frame` was captured: 0 when it does not want it, as when it reads what
 * was not captured or divides by zero. The program is valid.
 *
 * A jump back is for a header chain, whose every header takes at least a byte: more of them than bytes are a circle. */
static inline uint32_t bpf_run(const bpf_instruction *program, bytes_view frame, uint32_t wire_length) {
    uint32_t memory[BPF_SCRATCH] = {0};
    uint32_t a = 0, x = 0, back = frame.length;
    for (uint32_t at = 0;; at++) {
        const bpf_instruction *i = &program[at];
        const uint32_t k = i->k;
        switch (i->code) {
        case BPF_LD_W_ABS:
            if (!bpf_load_word(frame, k, 0, &a)) {
                return 0;
            }
            break;
        case BPF_LD_H_ABS:
            if (!bpf_load_half(frame, k, 0, &a)) {
                return 0;
            }
            break;
        case BPF_LD_B_ABS:
            if (!bpf_load_byte(frame, k, 0, &a)) {
                return 0;
            }
            break;
        case BPF_LD_W_IND:
            if (!bpf_load_word(frame, x, k, &a)) {
                return 0;
            }
            break;
        case BPF_LD_H_IND:
            if (!bpf_load_half(frame, x, k, &a)) {
                return 0;
            }
            break;
        case BPF_LD_B_IND:
            if (!bpf_load_byte(frame, x, k, &a)) {
                return 0;
            }
            break;
        case BPF_LDX_MSH:
            if (!bpf_load_byte(frame, k, 0, &x)) {
                return 0;
            }
            x = (x & 0xF) << 2;
            break;
        case BPF_LD_IMM: a = k; break;
        case BPF_LD_MEM: a = memory[k]; break;
        case BPF_LD_LEN: a = wire_length; break;
        case BPF_LDX_IMM: x = k; break;
        case BPF_LDX_MEM: x = memory[k]; break;
        case BPF_LDX_LEN: x = wire_length; break;
        case BPF_ST: memory[k] = a; break;
        case BPF_STX: memory[k] = x; break;
        case BPF_ADD_K: a += k; break;
        case BPF_SUB_K: a -= k; break;
        case BPF_MUL_K: a *= k; break;
        case BPF_DIV_K: a /= k; break;
        case BPF_MOD_K: a %= k; break;
        case BPF_OR_K: a |= k; break;
        case BPF_AND_K: a &= k; break;
        case BPF_XOR_K: a ^= k; break;
        case BPF_LSH_K: a = k < 32 ? a << k : 0; break;
        case BPF_RSH_K: a = k < 32 ? a >> k : 0; break;
        case BPF_NEG: a = 0U - a; break;
        case BPF_ADD_X: a += x; break;
        case BPF_SUB_X: a -= x; break;
        case BPF_MUL_X: a *= x; break;
        case BPF_DIV_X:
            if (!x) {
                return 0;
            }
            a /= x;
            break;
        case BPF_MOD_X:
            if (!x) {
                return 0;
            }
            a %= x;
            break;
        case BPF_OR_X: a |= x; break;
        case BPF_AND_X: a &= x; break;
        case BPF_XOR_X: a ^= x; break;
        case BPF_LSH_X: a = x < 32 ? a << x : 0; break;
        case BPF_RSH_X: a = x < 32 ? a >> x : 0; break;
        case BPF_JA:
            if (UNLIKELY(k >= 0x80000000U && !back--)) {
                return 0;
            }
            at += k;
            break;
        case BPF_JEQ_K: at += a == k ? i->jump_true : i->jump_false; break;
        case BPF_JGT_K: at += a > k ? i->jump_true : i->jump_false; break;
        case BPF_JGE_K: at += a >= k ? i->jump_true : i->jump_false; break;
        case BPF_JSET_K: at += a & k ? i->jump_true : i->jump_false; break;
        case BPF_JEQ_X: at += a == x ? i->jump_true : i->jump_false; break;
        case BPF_JGT_X: at += a > x ? i->jump_true : i->jump_false; break;
        case BPF_JGE_X: at += a >= x ? i->jump_true : i->jump_false; break;
        case BPF_JSET_X: at += a & x ? i->jump_true : i->jump_false; break;
        case BPF_TAX: x = a; break;
        case BPF_TXA: a = x; break;
        case BPF_RET_K: return k;
        case BPF_RET_A: return a;
        default: return 0;
        }
    }
}

#endif
