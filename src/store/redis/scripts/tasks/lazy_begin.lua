-- Wraps tasks/shared.lua, which follows, in a function that runs when it is first needed: most ticks find no task, and creating its
-- two dozen functions would cost more than the rest of such a tick. tasks/lazy_end.lua closes it.
local look_at_tasks

local function with_tasks()
