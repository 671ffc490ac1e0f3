-- census: counts leases and tasks. Changes nothing.
--
-- ARGV: how many lanes are counted at most
-- Returns: [leases, waiting, delayed, running, done, failed, dead]; -1: not counted, because there are more lanes, or somebody
-- broke the key
-- Atomic, because a task must not be counted in two states, or in none.
local function count(command, key)
  return try(command, key) or -1
end

local waiting = count('HLEN', LANES)
if waiting > tonumber(ARGV.most_lanes) then
  waiting = -1
elseif waiting > 0 then
  waiting = 0
  for _, lane in ipairs(call('HVALS', LANES)) do
    waiting = waiting + (try('ZCARD', PREFIX .. 'lane:' .. lane) or 0)
  end
end
if waiting >= 0 then
  -- Those that wait for other tasks, or until fewer run.
  waiting = waiting + math.max(0, count('ZCARD', PREFIX .. 'blocked'))
end
return { count('ZCARD', LEASES), waiting, count('ZCARD', DELAYED), count('ZCARD', RUNNING), count('LLEN', DONE),
  count('ZCARD', FAILED), count('ZCARD', DEAD) }
