import assert from "node:assert/strict";
import { test } from "node:test";

import { PageMachine } from "../ui/state.js";

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
