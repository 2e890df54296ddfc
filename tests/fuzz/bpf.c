/* The input is a program and a frame: |instructions 1|instruction 8|…|frame|. A program that is found valid reads nothing
 * outside itself and the frame, ends, and says the same each time; it cannot tell a frame from a copy with more behind
 * it. Steered so, instructions are mended until most programs are valid. */
#include "bpf.h"
#include "input.h"

static const uint16_t codes[] = {
    BPF_LD_W_ABS, BPF_LD_H_ABS, BPF_LD_B_ABS, BPF_LD_W_IND, BPF_LD_H_IND, BPF_LD_B_IND, BPF_LD_IMM,  BPF_LD_MEM,
    BPF_LD_LEN,   BPF_LDX_IMM,  BPF_LDX_MEM,  BPF_LDX_LEN,  BPF_LDX_MSH,  BPF_ST,       BPF_STX,     BPF_ADD_K,
    BPF_SUB_K,    BPF_MUL_K,    BPF_DIV_K,    BPF_OR_K,     BPF_AND_K,    BPF_LSH_K,    BPF_RSH_K,   BPF_NEG,
    BPF_MOD_K,    BPF_XOR_K,    BPF_ADD_X,    BPF_SUB_X,    BPF_MUL_X,    BPF_DIV_X,    BPF_OR_X,    BPF_AND_X,
    BPF_LSH_X,    BPF_RSH_X,    BPF_MOD_X,    BPF_XOR_X,    BPF_JA,       BPF_JEQ_K,    BPF_JGT_K,   BPF_JGE_K,
    BPF_JSET_K,   BPF_JEQ_X,    BPF_JGT_X,    BPF_JGE_X,    BPF_JSET_X,   BPF_RET_K,    BPF_RET_A,   BPF_TAX,
    BPF_TXA,
};

static void mend(bpf_instruction *program, uint32_t count) {
    for (uint32_t n = 0; n < count; n++) {
        bpf_instruction *i = &program[n];
        const uint32_t behind = count - n - 1;
        i->code = codes[i->code % (sizeof codes / sizeof codes[0])];
        i->jump_true = (uint8_t)(behind ? i->jump_true % behind : 0);
        i->jump_false = (uint8_t)(behind ? i->jump_false % behind : 0);
        if (i->code == BPF_LD_MEM || i->code == BPF_LDX_MEM || i->code == BPF_ST || i->code == BPF_STX) {
            i->k %= BPF_SCRATCH;
        } else if (i->code == BPF_JA) { /* one in four goes back */
            i->k = i->k & 3 ? (behind ? i->k % behind : 0) : 0U - 1 - (i->k >> 2) % (n + 1);
        }
    }
    program[count - 1].code = BPF_RET_A;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t steering[STEERING];
    size = take_steering(data, size, steering);
    if (!size) {
        return 0;
    }
    uint32_t count = data[0], where = 0;
    if (count > (size - 1) / sizeof(bpf_instruction)) {
        count = (uint32_t)((size - 1) / sizeof(bpf_instruction));
    }
    const size_t program_size = count * sizeof(bpf_instruction);
    bpf_instruction *program = copy_of(data + 1, program_size);
    if (count && steering[0] & 1) {
        mend(program, count);
    }
    const uint32_t length = (uint32_t)(size - 1 - program_size);
    const uint32_t wire_length = length + steering[1];
    uint8_t *frame = copy_of(data + 1 + program_size, length);
    int fault = bpf_validate(program, count, &where);
    CHECK(where <= count && (fault == BPF_VALID || fault == BPF_WITHOUT_END) == (where == count));
    if (fault == BPF_VALID) {
        uint8_t *longer = room((size_t)length + 64, 1);
        memset(longer, 0xFF, (size_t)length + 64);
        memcpy(longer, frame, length);
        uint32_t returned = bpf_run(program, (bytes_view){frame, length}, wire_length);
        CHECK(bpf_run(program, (bytes_view){longer, length}, wire_length) == returned);
        free(longer);
    }
    free(frame);
    free(program);
    return 0;
}
