"""One module for each kind of input that others send. Its ``one_input(data)`` takes an input the whole way,
raises nothing and is quick. It may have a ``BUDGET`` (`tests.fuzz.budget`) and a number of ``MUTATIONS``."""
