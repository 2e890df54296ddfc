/* Local time of day of a second, with its zone's name: what C leaves to each system. */
#ifndef SPANLINE_LOCAL_TIME_H
#define SPANLINE_LOCAL_TIME_H

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* for localtime_r() and tm_zone */
#endif
#include <stdint.h>
#include <time.h>

/* Fills `out`; gives the zone's name, which stays valid until the zone changes, or NULL for times beyond the calendar. */
static inline const char *local_time(int64_t second, struct tm *out) {
    const time_t time = (time_t)second;
#ifdef _WIN32
    return localtime_s(out, &time) ? NULL : _tzname[out->tm_isdst > 0];
#else
    return localtime_r(&time, out) ? out->tm_zone : NULL;
#endif
}

#endif
