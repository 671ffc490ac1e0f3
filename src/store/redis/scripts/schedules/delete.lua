-- schedule_delete: removes a schedule; its tasks stay.
--
-- ARGV: id
-- Returns: [there was one (1|0)]
-- Atomic, because the size of its payload is counted.
local id = ARGV.id
make_way()
load_meta()
local key, version = schedule_type(id)
if version then
  local held = number(call('HGET', META, 'schedule_bytes'), 0) - call('HSTRLEN', key, 'payload')
  call('HSET', META, 'schedule_bytes', int(math.max(0, held)))
end
call('DEL', key)
try('ZREM', SCHEDULES, id)
return { version and 1 or 0 }
