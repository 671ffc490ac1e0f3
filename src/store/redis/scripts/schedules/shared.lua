-- Shared by the scripts of schedules.
--
--   schedules       zset  schedule id -> its next slot (server time), or NEVER if it is paused or none is left
--   schedule:<id>   hash  definition (JSON text, see transitions/schedules.rs), payload (JSON text), version (a nonce), next (server time, 0: none),
--                         paused ('1' or '0'), last (the last slot that got a task), task (that task's id), runs (how many tasks)
--   meta.schedule_bytes   what their payloads take
-- Slots are times of the server's own clock, as delays are.
local SCHEDULES, SCHEDULE = PREFIX .. 'schedules', PREFIX .. 'schedule:'
local NEVER = '9000000000000000'

local function schedule_type(id)
  local key = SCHEDULE .. id
  local version = redis.pcall('HGET', key, 'version')
  if type(version) == 'table' then
    call('DEL', key)
    return key, nil
  end
  return key, version or nil
end

-- Enters when the next slot of a schedule is, and tells the nodes if that is the earliest of all.
local function enter_slot(id, next, paused)
  local score = (paused or next == '0') and NEVER or next
  if not try('ZADD', SCHEDULES, score, id) then
    call('DEL', SCHEDULES)
    call('ZADD', SCHEDULES, score, id)
  end
  if score ~= NEVER and call('ZRANGE', SCHEDULES, 0, 0)[1] == id then
    call('PUBLISH', PREFIX .. 'all', 'schedule')
  end
end
