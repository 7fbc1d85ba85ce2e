"""Reads the pickles of PyTorch with an interpreter that can build dictionaries, lists and tensors, and nothing else.

Python's own unpickler calls any function that a file names. This interpreter calls only the few functions in `CALLS`.
"""

import pickletools
from typing import Any

from googlenet_keras.weights.readers.opened import Bounded
from googlenet_keras.weights.readers.views import CALLS, Name, Storage, dictionary, storage

# A state dict of 900 tensors needs 25,000 opcodes.
MOST_STEPS = 200_000

# The opcodes that push their argument onto the stack.
_CARRIED = {
    *("BININT", "BININT1", "BININT2", "LONG1", "INT", "LONG", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class Machine:
    """Interprets one pickle.

    Args:
        pickle: The pickle, or a stream that is positioned at the beginning of the pickle. `play` moves the stream to
            the end of the pickle.

    Attributes:
        storages: The storages that the pickle refers to, by key.
    """

    def __init__(self, pickle: bytes | Bounded) -> None:
        self.storages: dict[str, Storage] = {}
        self._pickle = pickle
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def play(self) -> Any:
        """Builds the objects that the pickle describes.

        Raises:
            ValueError: If the pickle contains an opcode that is not needed for a state dict, would call a function that
                is not in `CALLS`, or has more than `MOST_STEPS` opcodes.
        """
        for number, (step, argument, _) in enumerate(pickletools.genops(self._pickle)):  # type: ignore[arg-type]
            if number > MOST_STEPS:
                raise ValueError(f"its pickle has more than {MOST_STEPS} opcodes")
            if step.name in _CARRIED:
                self._stack.append(argument)
            elif step.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[step.name])
            elif step.name != "STOP":
                action = getattr(self, f"_step_{step.name.lower()}", None)
                if action is None:
                    raise ValueError(f"its pickle contains the opcode {step.name}, which is not needed for weights")
                action(argument)
        return self._stack.pop()

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        taken = self._stack[mark:]
        del self._stack[mark:]
        return taken

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise ValueError(f"its pickle changes an object that is not a {kind.__name__}")
        return self._stack[-1]

    def _step_proto(self, argument: Any) -> None:
        pass

    _step_frame = _step_proto

    def _step_mark(self, argument: Any) -> None:
        self._marks.append(len(self._stack))

    def _step_empty_dict(self, argument: Any) -> None:
        self._stack.append({})

    def _step_empty_list(self, argument: Any) -> None:
        self._stack.append([])

    def _step_tuple(self, argument: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _tuples(self, count: int) -> None:
        if len(self._stack) < count:
            raise ValueError("its pickle takes more values from the stack than there are")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _step_tuple1(self, argument: Any) -> None:
        self._tuples(1)

    def _step_tuple2(self, argument: Any) -> None:
        self._tuples(2)

    def _step_tuple3(self, argument: Any) -> None:
        self._tuples(3)

    def _step_append(self, argument: Any) -> None:
        value = self._stack.pop()
        self._top(list).append(value)

    def _step_appends(self, argument: Any) -> None:
        values = self._since_mark()
        self._top(list).extend(values)

    def _step_setitem(self, argument: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._top(dict).update(dictionary([(key, value)]))

    def _step_setitems(self, argument: Any) -> None:
        pairs = self._since_mark()
        self._top(dict).update(dictionary(zip(pairs[::2], pairs[1::2], strict=True)))

    def _step_put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    _step_binput = _step_long_binput = _step_put

    def _step_memoize(self, argument: Any) -> None:
        self._step_put(len(self._memo))

    def _step_get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    _step_binget = _step_long_binget = _step_get

    def _step_global(self, name: str) -> None:
        self._stack.append(Name(name.replace(" ", ".")))

    def _step_stack_global(self, argument: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("its pickle contains a name that is not a string")
        self._stack.append(Name(f"{module}.{name}"))

    def _step_reduce(self, argument: Any) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, Name) or called.name not in CALLS or type(arguments) is not tuple:
            name = called.name if isinstance(called, Name) else f"a {type(called).__name__}"
            raise ValueError(f"its pickle would call {name}, but only tensors are read; save only model.state_dict()")
        self._stack.append(CALLS[called.name](*arguments))

    def _step_build(self, argument: Any) -> None:
        # This opcode sets attributes. Those of a state dict are the versions of its modules, which are not needed.
        self._stack.pop()
        self._top(dict)

    def _step_binpersid(self, argument: Any) -> None:
        found = storage(self._stack.pop())
        if self.storages.setdefault(found.key, found) != found:
            raise ValueError(f"its pickle describes the storage {found.key} in two different ways")
        self._stack.append(found)
