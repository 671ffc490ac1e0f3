-- Puts tasks/shared.lua, which follows, into a function that runs when it is first needed: most ticks find no task, and its two dozen
-- functions cost more to make than all that such a tick does. tasks/lazy_end.lua closes it.
local look_at_tasks

local function with_tasks()
