/* part: plain_ridge */
/* a linear map of scaled values to the scaled horizon; its weights are those of groups of series, steps, and horizon;
   the divisor is 1, the scale of the series, the seasonal difference of the window (2) or its deviation (3) */
typedef struct {
    const float *weights;
    int logs, location, divisor, groups, steps;
} plain_ridge;

/* part: covered_ridge */
/* a linear map of scaled values less the effect of columns known ahead, and of all columns of the last steps */
typedef struct {
    const float *effect, *weights;
    int logs, location, divisor, steps, lags;
} covered_ridge;

/* part: scaled_window */
/* a window of count values and its scales: of outputs, of standardized values, and what is told of plain forecasts */
typedef struct {
    double level, scale, unit, shift, location, spread, share, error;
    int count;
} scaled_window;

/* part: input: cut_at */
static float input(double x)
{
    return (float)cut_at(x, LARGEST_INPUT);
}

/* part: filled_at */
/* a value, with the last one before it where it is missing, and the first one before the series */
static double filled_at(int step)
{
    return work.filled[step < 0 ? 0 : step];
}

/* part: take_values */
/* take the values before the end of a window, and tell the first that is not missing; the first of all repeats what was
   before it */
static int take_values(const live_series *state, int first, int count)
{
    double last = 0.0;
    int known = -1, i;
    for (i = 0; i < first + count; ++i) {
        const double value = state->values[i];
        if (value == value) {
            last = value;
            known = known < 0 && i >= first ? i - first : i < first ? 0 : known;
        }
        if (i >= first) {
            work.raw[i - first] = i == first && known == 0 ? last : value;
            work.filled[i - first] = last;
        }
    }
    for (i = 0; i < known; ++i) {
        work.filled[i] = work.filled[known];
    }
    return known;
}

/* part: mean_difference: long_size */
/* the mean size of the last differences of values a period apart; 0 without any */
static double mean_difference(int origin, int period, int length)
{
    double sum = 0.0;
    int found = 0, i = origin - length > period ? origin - length : period;
    for (; i < origin; ++i) {
        const double each = work.raw[i] - work.raw[i - period];
        if (each == each) {
            sum += long_size(each);
            found += 1;
        }
    }
    return found > 0 ? sum / (double)found : 0.0;
}

/* part: read_window: filled_at long_logarithm */
/* take the values before an origin, and their logarithms less a shift that is returned */
static double read_window(int origin, int steps)
{
    double level = 0.0, shift;
    int i, positive = 0;
    for (i = 0; i < steps; ++i) {
        const double value = filled_at(origin - steps + i);
        work.window[i] = value;
        level += value > 0.0 ? value : 0.0;
        positive += value > 0.0;
    }
    level /= (double)steps;
    shift = SHARE * (level > 0.0 ? level : 1.0);
    for (i = 0; i < steps && RIDGES_OF_LOGS; ++i) {
        work.logs[i] = long_logarithm((work.window[i] > 0.0 ? work.window[i] : 0.0) + shift);
    }
    work.is_positive = positive > 0;
    return shift;
}

/* part: divisor_of: deviation_of long_size */
static double divisor_of(const double *values, int steps, int kind, double scale)
{
    double divisor = kind == 1 ? scale : 1.0;
    int i;
    if (kind == 2) {
        divisor = 0.0;
        for (i = SEASON; i < steps; ++i) {
            divisor += long_size(values[i] - values[i - SEASON]);
        }
        divisor /= (double)(steps - SEASON);
    } else if (kind == 3) {
        divisor = deviation_of(values, steps);
    }
    return divisor > 0.0 ? divisor : 1.0;
}

/* part: add_weighted */
/* add a number times a row of weights, and return the next row */
static const float *add_weighted(double *to, double x, const float *weights)
{
    int h;
    for (h = 0; h < HORIZON; ++h) {
        to[h] += x * (double)weights[h];
    }
    return weights + HORIZON;
}

/* part: back_to_values: cut_at long_exponential */
/* bring a forecast of a ridge back to values */
static void back_to_values(double *to, int logs, double location, double divisor, double shift)
{
    int h;
    for (h = 0; h < HORIZON; ++h) {
        to[h] = logs ? long_exponential(cut_at(to[h], LARGEST_LOG) * divisor + location) - shift
                     : to[h] * divisor + location;
    }
}

/* part: plain_forecast: plain_ridge divisor_of mean_of add_weighted back_to_values */
static void plain_forecast(double *to, const plain_ridge *ridge, int group, double scale, double shift)
{
    const double *const values = ridge->logs ? work.logs : work.window;
    const double location = mean_of(values + PLAIN_STEPS - ridge->location, ridge->location);
    const double divisor = divisor_of(values, PLAIN_STEPS, ridge->divisor, scale);
    const int own = group < ridge->groups ? group : ridge->groups - 1;
    const float *weights = ridge->weights + own * ridge->steps * HORIZON;
    int i;
    for (i = 0; i < HORIZON; ++i) {
        to[i] = 0.0;
    }
    for (i = PLAIN_STEPS - ridge->steps; i < PLAIN_STEPS; ++i) {
        weights = add_weighted(to, (values[i] - location) / divisor, weights);
    }
    back_to_values(to, ridge->logs, location, divisor, shift);
    for (i = 0; i < HORIZON && ridge->logs && !work.is_positive; ++i) {
        to[i] = 0.0;
    }
}

/* part: row_at */
/* a number of a column at a step: scaled and without gaps; 0 before the series */
static float row_at(const live_series *state, int step, int column)
{
    const int place = work.first + step;
    if (place < 0) {
        return 0.0f;
    }
    return place < state->count ? state->rows[place * COLUMNS + column]
                                : work.ahead[(place - state->count) * COLUMNS + column];
}

/* part: scale_row: cut_at */
/* write numbers first to end of a row on the scale of training, from raw numbers, and from the row before for those that
   are missing, NULL for none */
static void scale_row(float *to, const float *before, const double *numbers, int first, int end)
{
    int k;
    for (k = first; k < end; ++k) {
        const double number = numbers[column_numbers[k] - column_numbers[first]];
        if (column_flags[k] != 0) {
            to[k - first] = number == number ? 0.0f : 1.0f;
        } else if (number == number && column_scale[k] > 0.0) {
            to[k - first] = (float)cut_at((number - column_location[k]) / column_scale[k], LARGEST_COLUMN);
        } else {
            to[k - first] = before != NULL ? before[k - first] : 0.0f;
        }
    }
}

/* part: time_at: next_time */
/* the time of a step, also behind the last one */
static int64_t time_at(const live_series *state, int step)
{
    int place = work.first + step;
    int64_t time = state->times[place < state->count ? place : state->count - 1];
    for (; place >= state->count; --place) {
        time = next_time(time);
    }
    return time;
}

/* part: effect_at: row_at */
static double effect_at(const live_series *state, int step, const float *effect)
{
    double sum = 0.0;
    int k;
    for (k = PAST_COLUMNS; k < COLUMNS; ++k) {
        sum += (double)effect[k - PAST_COLUMNS] * (double)row_at(state, step, k);
    }
    return sum;
}

/* part: largest_of */
static double largest_of(const double *x, int size)
{
    double largest = x[0];
    int i;
    for (i = 1; i < size; ++i) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

/* part: weigh: largest_of long_exponential long_logarithm */
/* the weight of each plain forecast by its error; where errors are 0, only those count */
static void weigh(double *weights, const double *errors)
{
    const double largest = largest_of(errors, CANDIDATES), floor = 1e-9 * (largest > 0.0 ? largest : 1.0);
    double least = largest, sum = 0.0;
    int k;
    for (k = 0; k < CANDIDATES; ++k) {
        least = errors[k] < least ? errors[k] : least;
    }
    least = least > floor ? least : floor;
    for (k = 0; k < CANDIDATES; ++k) {
        weights[k] = long_exponential(POWER * long_logarithm(least / (errors[k] > floor ? errors[k] : floor)));
        sum += weights[k];
    }
    for (k = 0; k < CANDIDATES; ++k) {
        weights[k] /= sum;
    }
}

/* part: plain_scale: mean_difference */
static double plain_scale(int origin)
{
    return mean_difference(origin, SEASON, SCALE_STEPS);
}

/* part: backtest: write_candidates plain_scale long_size */
/* the mean error of each plain forecast at earlier origins, or else the usual one in units of the scale */
static void backtest(const live_series *state, int first, int count, double scale)
{
    int found = 0, i, k, h;
    for (k = 0; k < CANDIDATES; ++k) {
        work.errors[k] = 0.0;
    }
    for (i = 0; i < BACKTESTS; ++i) {
        const int origin = count - HORIZON - BETWEEN * i;
        int observed = 0;
        if (origin <= first + SEASON) {
            break;
        }
        for (h = 0; h < HORIZON; ++h) {
            observed += work.raw[origin + h] == work.raw[origin + h];
        }
        if (observed == 0) {
            continue;
        }
        write_candidates(state, origin, plain_scale(origin));
        for (k = 0; k < CANDIDATES; ++k) {
            double sum = 0.0;
            for (h = 0; h < HORIZON; ++h) {
                const double each = work.candidates[k * HORIZON + h] - work.raw[origin + h];
                sum += each == each ? long_size(each) : 0.0;
            }
            work.errors[k] += sum / (double)observed;
        }
        found += 1;
    }
    for (k = 0; k < CANDIDATES; ++k) {
        const int group = state->channel < USUAL_GROUPS ? state->channel : USUAL_GROUPS - 1;
        const double usual = (scale > 0.0 ? scale : 1.0) * usual_errors[group * CANDIDATES + k];
        work.errors[k] = found > 0 ? work.errors[k] / (double)found : usual;
    }
}

/* part: scale_window: scaled_window filled_at mean_difference mean_of deviation_of long_logarithm long_size */
static void scale_window(scaled_window *window, int count)
{
    const double near = mean_difference(count, 1, NEAR_STEPS), season = mean_difference(count, SEASON, SEASON_STEPS);
    double largest = 0.0, sum = 0.0;
    int i;
    window->count = count;
    window->level = work.filled[count - 1];
    window->shift = 0.0;
    for (i = 0; i < LOOKBACK; ++i) {
        const double value = filled_at(count - LOOKBACK + i);
        sum += long_size(value);
        largest = long_size(value) > largest ? long_size(value) : largest;
        window->shift += value > 0.0 ? value : 0.0;
    }
    window->shift *= SHARE / (double)LOOKBACK;
    window->shift = window->shift > 0.0 ? window->shift : 1.0;
    window->scale = near > ROUNDING * largest ? near : 0.0;
    window->scale = season > ROUNDING * largest ? season : window->scale;
    window->unit = window->scale > 0.0 ? window->scale : 1.0;
    window->share = long_logarithm(window->unit / (sum / (double)LOOKBACK + window->unit));
    for (i = 0; i < LOOKBACK; ++i) {
        const double value = filled_at(count - LOOKBACK + i);
        work.turned[i] = LOGS ? long_logarithm((value > 0.0 ? value : 0.0) + window->shift) : value;
    }
    window->location = mean_of(work.turned, LOOKBACK);
    window->spread = deviation_of(work.turned, LOOKBACK);
    window->spread = window->spread > ROUNDING * long_size(window->location) ? window->spread : 1.0;
}

/* part: among_usual: scaled_window filled_at mean_of deviation_of long_logarithm */
/* where the values of a window lie among those that their channel had in training: the last one, the last season and all
   of them; their deviation and the scale of the window; zeros for other channels */
static void among_usual(const scaled_window *window, int channel)
{
    const double *const usual = usual_levels + 4 * (channel < CHANNEL_LEVELS ? channel : 0);
    const int season = SEASON < LOOKBACK ? SEASON : LOOKBACK;
    double spread, unit;
    int i;
    for (i = 0; i < LOOKBACK; ++i) {
        const double value = filled_at(window->count - LOOKBACK + i);
        const double turned = LOGS ? long_logarithm((value > 0.0 ? value : 0.0) + usual[0]) : value;
        work.window[i] = (turned - usual[1]) / usual[2];
    }
    spread = deviation_of(work.window, LOOKBACK);
    unit = window->unit / usual[3];
    work.usual[0] = work.window[LOOKBACK - 1];
    work.usual[1] = mean_of(work.window + LOOKBACK - season, season);
    work.usual[2] = mean_of(work.window, LOOKBACK);
    work.usual[3] = long_logarithm(spread > SMALL ? spread : SMALL);
    work.usual[4] = long_logarithm(unit > SMALL ? unit : SMALL);
    for (i = 0; i < 5; ++i) {
        work.usual[i] = channel < CHANNEL_LEVELS ? work.usual[i] : 0.0;
    }
}

/* part: scale_errors: scaled_window weigh long_logarithm */
/* the expected error of the combination of plain forecasts, and logarithms of their errors, in the unit of the window */
static void scale_errors(scaled_window *window)
{
    int k;
    weigh(work.weights, work.errors);
    window->error = 0.0;
    for (k = 0; k < CANDIDATES; ++k) {
        const double error = work.errors[k] / window->unit > ROUNDING ? work.errors[k] / window->unit : ROUNDING;
        window->error += work.weights[k] * error;
        work.errors[k] = long_logarithm(error);
    }
    window->error = window->error > ROUNDING ? window->error : ROUNDING;
}

/* part: sort */
static void sort(double *x, int size)
{
    int i, j;
    for (i = 1; i < size; ++i) {
        const double value = x[i];
        for (j = i; j > 0 && x[j - 1] > value; --j) {
            x[j] = x[j - 1];
        }
        x[j] = value;
    }
}
