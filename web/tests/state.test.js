import assert from "node:assert/strict";
import { test } from "node:test";

import { PageMachine } from "../ui/state.js";

test("whether it has been live is known until the next start", () => {
  const machine = new PageMachine();
  const steps = ["connect", "lost", "live", "lost", "stop", "stopped", "connect", "lost"].map((event) => {
    machine.send(event);
    return machine.wasLive;
  });
  assert.deepEqual(steps, [false, false, true, true, true, true, false, false]);
});

test("an event that comes late has no place in the state, and changes nothing", () => {
  const machine = new PageMachine();
  const events = ["live", "connect", "live", "lost", "stop", "live", "stopped", "fail"];
  const steps = events.map((event) => [event, machine.send(event), machine.state]);
  assert.deepEqual(steps, [
    ["live", false, "idle"],
    ["connect", true, "connecting"],
    ["live", true, "live"],
    ["lost", true, "reconnecting"],
    ["stop", true, "stopping"],
    ["live", false, "stopping"],
    ["stopped", true, "idle"],
    ["fail", false, "idle"],
  ]);
});
