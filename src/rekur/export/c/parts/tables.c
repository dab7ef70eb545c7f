/* part: add_scaled */
/* adds a row of 8-bit numbers times its scale to y */
static void add_scaled(float *y, const int8_t *x, float scale, int size)
{
    int i;
    for (i = 0; i < size; ++i) {
        y[i] += scale * (float)x[i];
    }
}
