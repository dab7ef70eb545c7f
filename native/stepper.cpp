// The stepper as Python sees it.
#include "stepper_object.h"

namespace rekur {

void bind_stepper(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<Stepper>(m, "Stepper")
        .def(nb::init<const nb::list&, const std::string&>(), "layers"_a, "precision"_a)
        .def_prop_ro("width", &Stepper::width)
        .def_prop_ro("busy", &Stepper::busy)
        .def("twin", &Stepper::twin, nb::rv_policy::take_ownership)
        .def("use", &Stepper::use, "arena"_a, "output"_a)
        .def("step_one", &Stepper::step_one, "slot"_a, "x"_a.none())
        .def("step", &Stepper::step, "slots"_a, "x"_a, "out"_a, "threads"_a);
}

}  // namespace rekur
