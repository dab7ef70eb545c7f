/* How a program begins on an emulated Cortex-M: data into place, the rest zero. */
#include <stdint.h>
extern uint32_t stack_top, data_from, data_start, data_end, bss_start, bss_end;
extern int main(void);
extern void initialise_monitor_handles(void);
static void start(void)
{
    uint32_t *from = &data_from, *to;
    for (to = &data_start; to < &data_end; ++to) {
        *to = *from++;
    }
    for (to = &bss_start; to < &bss_end; ++to) {
        *to = 0;
    }
    initialise_monitor_handles();
    (void)main();
}
void _init(void);
void _init(void) {}
void _fini(void);
void _fini(void) {}
extern const uintptr_t vectors[2];
__attribute__((section(".vectors"), used)) const uintptr_t vectors[2] = {(uintptr_t)&stack_top, (uintptr_t)start};
