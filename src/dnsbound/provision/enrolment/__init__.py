"""Enrolment of new devices: who may register which name, once, and what a device's request must be."""
