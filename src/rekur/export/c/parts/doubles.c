/* part: double_bits */
typedef union { double value; uint64_t bits; } double_bits;

/* part: long_logarithm: double_bits */
/* of numbers above 0, in double precision: e ln 2 + ln m with m in [0.7, 1.4] */
static double long_logarithm(double x)
{
    double_bits mantissa;
    double s, square, y = 0.0;
    int e, k;
    mantissa.value = x;
    e = (int)(mantissa.bits >> 52) - 1023;
    mantissa.bits = (mantissa.bits & UINT64_C(0xfffffffffffff)) | UINT64_C(0x3ff0000000000000);
    if (mantissa.value > 1.4142135623730951) {
        mantissa.value *= 0.5;
        e += 1;
    }
    s = (mantissa.value - 1.0) / (mantissa.value + 1.0);
    square = s * s;
    for (k = 23; k > 0; k -= 2) {
        y = y * square + 1.0 / (double)k;
    }
    return (double)e * 0.69314718055994531 + 2.0 * s * y;
}

/* part: long_exponential: double_bits */
/* 2^k e^r with |r| <= ln 2 / 2, for sizes up to 700 */
static double long_exponential(double x)
{
    double_bits power;
    double r, y = 1.0;
    int k, i;
    x = x > 700.0 ? 700.0 : x < -700.0 ? -700.0 : x;
    k = (int)(x * 1.4426950408889634 + (x < 0.0 ? -0.5 : 0.5));
    r = (x - (double)k * 0.693147180369123816) - (double)k * 1.90821492927058770e-10;
    for (i = 14; i > 0; --i) {
        y = 1.0 + y * r / (double)i;
    }
    power.bits = (uint64_t)(k + 1023) << 52;
    return power.value * y;
}

/* part: long_root: double_bits */
/* of numbers of 0 or more, by Newton's method */
static double long_root(double x)
{
    double_bits guess;
    int i;
    if (!(x > 0.0)) {
        return 0.0;
    }
    guess.value = x;
    guess.bits = (guess.bits >> 1) + UINT64_C(0x1ff8000000000000);
    for (i = 0; i < 5; ++i) {
        guess.value = 0.5 * (guess.value + x / guess.value);
    }
    return guess.value;
}

/* part: long_size */
static double long_size(double x)
{
    return x < 0.0 ? -x : x;
}

/* part: cut_at */
static double cut_at(double x, double largest)
{
    return x > largest ? largest : x < -largest ? -largest : x;
}

/* part: inverse_sinh: long_logarithm long_root long_size */
/* within the sizes that are told apart behind it */
static double inverse_sinh(double x)
{
    const double size = long_size(x) < 1e6 ? long_size(x) : 1e6;
    const double y = long_logarithm(size + long_root(size * size + 1.0));
    return x < 0.0 ? -y : y;
}

/* part: mean_of */
static double mean_of(const double *x, int size)
{
    double sum = 0.0;
    int i;
    for (i = 0; i < size; ++i) {
        sum += x[i];
    }
    return sum / (double)size;
}

/* part: deviation_of: mean_of long_root */
static double deviation_of(const double *x, int size)
{
    const double mean = mean_of(x, size);
    double sum = 0.0;
    int i;
    for (i = 0; i < size; ++i) {
        sum += (x[i] - mean) * (x[i] - mean);
    }
    return long_root(sum / (double)size);
}

/* part: sine */
/* of an angle of 0 or more, in turns */
static double sine(double turns)
{
    double x = turns - (double)(int)turns, square, y = 1.0;
    int k;
    x = x > 0.75 ? x - 1.0 : x > 0.25 ? 0.5 - x : x;
    x *= 6.283185307179586;
    square = x * x;
    for (k = 23; k > 1; k -= 2) {
        y = 1.0 - y * square / (double)(k * (k - 1));
    }
    return x * y;
}

/* part: harmonics: sine */
/* writes sine and cosine of the first multiples of a phase in turns, and returns the place behind them */
static double *harmonics(double *to, double phase, int count)
{
    int k;
    for (k = 1; k <= count; ++k) {
        *to++ = sine((double)k * phase);
        *to++ = sine((double)k * phase + 0.25);
    }
    return to;
}

/* part: day_length */
/* nanoseconds of a day */
#define DAY INT64_C(86400000000000)

/* part: rest_of */
/* the rest of a division, 0 or more */
static int64_t rest_of(int64_t time, int64_t length)
{
    const int64_t rest = time % length;
    return rest < 0 ? rest + length : rest;
}

/* part: day_number: day_length rest_of */
/* days since 1970 of a time */
static int64_t day_number(int64_t time)
{
    return (time - rest_of(time, DAY)) / DAY;
}

/* part: year_start */
/* the number of the first day of a year after 0; that of 1970 is 0 */
static int64_t year_start(int64_t year)
{
    const int64_t before = year - 1;
    return 365 * (year - 1970) + (before / 4 - before / 100 + before / 400) - 477;
}

/* part: year_of: year_start */
static int64_t year_of(int64_t day)
{
    int64_t year = 1970 + day / 366;
    while (year_start(year) > day) {
        year -= 1;
    }
    while (year_start(year + 1) <= day) {
        year += 1;
    }
    return year;
}

/* part: month_start: year_start */
/* the number of the first day of a month, which counts from 0 on in its year */
static int64_t month_start(int64_t year, int64_t month)
{
    static const int16_t days[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const int64_t whole = year + month / 12, rest = month % 12;
    const int64_t leaps = rest > 1 && year_start(whole + 1) - year_start(whole) == 366;
    return year_start(whole) + days[rest] + leaps;
}

/* part: phase_of_day: day_length rest_of */
static double phase_of_day(int64_t time)
{
    return (double)rest_of(time, DAY) / (double)DAY;
}

/* part: phase_of_week: day_length rest_of */
static double phase_of_week(int64_t time)
{
    return (double)rest_of(time + 3 * DAY, 7 * DAY) / (double)(7 * DAY);
}

/* part: phase_of_year: day_number year_of */
static double phase_of_year(int64_t time)
{
    const int64_t year = year_of(day_number(time)), first = year_start(year);
    return (double)(time - first * DAY) / (double)((year_start(year + 1) - first) * DAY);
}

/* part: weekday_of: rest_of */
/* the day of the week of a number of a day, 0 for Monday */
static int weekday_of(int64_t day)
{
    return (int)rest_of(day + 3, 7);
}

/* part: next_time (even) */
static int64_t next_time(int64_t time)
{
    return time + STEP;
}

/* part: next_time (weekday): day_number weekday_of */
static int64_t next_time(int64_t time)
{
    static const char works[8] = WEEKDAYS;
    do {
        time += DAY;
    } while (works[weekday_of(day_number(time))] == '0');
    return time;
}

/* part: next_time (month): day_number year_of month_start */
static int64_t next_time(int64_t time)
{
    const int64_t today = day_number(time), year = year_of(today);
    int64_t month = 0, first, last, day;
    while (month < 11 && month_start(year, month + 1) <= today) {
        month += 1;
    }
    month += STEP;
    first = month_start(year, month);
    last = month_start(year, month + 1) - 1;
    day = first + MONTH_DAY - 1 < last ? first + MONTH_DAY - 1 : last;
    return day * DAY + rest_of(time, DAY);
}

/* part: next_time (working_month): day_number year_of month_start weekday_of */
static int64_t next_time(int64_t time)
{
    static const char works[8] = WEEKDAYS;
    const int64_t today = day_number(time), year = year_of(today);
    int64_t month = 0, day;
    while (month < 11 && month_start(year, month + 1) <= today) {
        month += 1;
    }
    month += STEP;
    day = MONTH_DAY == 1 ? month_start(year, month) : month_start(year, month + 1) - 1;
    while (works[weekday_of(day)] == '0') {
        day += MONTH_DAY == 1 ? 1 : -1;
    }
    return day * DAY + rest_of(time, DAY);
}
