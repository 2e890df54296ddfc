/* The cursor: the only code that touches a raw pointer. Every read is checked.
 *
 * A layer asks the cursor for a view of the bytes it needs; a view knows its length, and each read from it is
 * checked against that length. Lengths and positions are constants in nearly every call, so the compiler proves
 * most checks away and what stays is one comparison per header.
 */
#ifndef SPANLINE_BYTES_H
#define SPANLINE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_MSC_VER)
#define ALWAYS_INLINE static __forceinline
#define LIKELY(condition) (condition)
#define UNLIKELY(condition) (condition)
#define PREFETCH(address) ((void)(address))
#define STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define PREFETCH(address) __builtin_prefetch(address)
#define STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/* Some checked bytes: `length` of them are readable at `data`. */
typedef struct {
    const uint8_t *data;
    uint32_t length;
} bytes_view;

/* A place in a buffer: `offset` is the next unread byte, `end` the first one that may not be read. */
typedef struct {
    const uint8_t *data;
    uint32_t offset;
    uint32_t end;
} cursor;

ALWAYS_INLINE uint32_t cursor_left(const cursor *c) { return c->offset < c->end ? c->end - c->offset : 0; }

/* A view of the next `count` bytes, which stay unread; 0 when there are fewer. */
ALWAYS_INLINE int cursor_peek(const cursor *c, uint32_t count, bytes_view *view) {
    if (UNLIKELY(cursor_left(c) < count)) {
        return 0;
    }
    view->data = c->data + c->offset;
    view->length = count;
    return 1;
}

/* A view of the next `count` bytes, which are then read; 0 and nothing read when there are fewer. */
ALWAYS_INLINE int cursor_take(cursor *c, uint32_t count, bytes_view *view) {
    if (!cursor_peek(c, count, view)) {
        return 0;
    }
    c->offset += count;
    return 1;
}

ALWAYS_INLINE uint16_t swap16(uint16_t value) { return (uint16_t)((value >> 8) | (value << 8)); }

ALWAYS_INLINE uint32_t swap32(uint32_t value) {
    return (value >> 24) | ((value >> 8) & 0xFF00U) | ((value << 8) & 0xFF0000U) | (value << 24);
}

ALWAYS_INLINE uint64_t swap64(uint64_t value) {
    return ((uint64_t)swap32((uint32_t)value) << 32) | swap32((uint32_t)(value >> 32));
}

/* Reads in host order (little-endian on every machine that is built for) and in network order. A read outside the
 * view gives 0: it cannot happen after a cursor_take() of the right size, and if it does it is harmless. */
ALWAYS_INLINE uint8_t view_u8(bytes_view view, uint32_t at) { return at < view.length ? view.data[at] : 0; }

#define VIEW_READ(name, type)                                                                                          \
    ALWAYS_INLINE type name(bytes_view view, uint32_t at) {                                                            \
        type value = 0;                                                                                                \
        if (view.length >= sizeof value && at <= view.length - sizeof value) {                                         \
            memcpy(&value, view.data + at, sizeof value);                                                              \
        }                                                                                                              \
        return value;                                                                                                  \
    }
VIEW_READ(view_host16, uint16_t)
VIEW_READ(view_host32, uint32_t)
VIEW_READ(view_host64, uint64_t)
#undef VIEW_READ

ALWAYS_INLINE uint16_t view_be16(bytes_view view, uint32_t at) { return swap16(view_host16(view, at)); }
ALWAYS_INLINE uint32_t view_be32(bytes_view view, uint32_t at) { return swap32(view_host32(view, at)); }

ALWAYS_INLINE void view_copy(bytes_view view, uint32_t at, uint8_t *target, uint32_t count) {
    if (at <= view.length && count <= view.length - at) {
        memcpy(target, view.data + at, count);
    }
}

#endif
