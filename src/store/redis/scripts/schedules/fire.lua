-- schedule_fire: submits the tasks of slots of a schedule, and moves the schedule on.
--
-- ARGV: node id, incarnation, id, version and next slot that the caller has read, next slot from now on or 0, last of these slots or 0, bytes that tasks
--   may take, then per task what tasks/submit.lua has
-- Returns: [status, outcome ('done'|'refused'|'stale'), results as in tasks/submit.lua]
-- Atomic, because a slot must not be passed without its task, and must not get two. A slot that has moved on since the caller
-- read it is another caller's. If tasks have no room, the schedule stays where it is.
local full = is_full()
if full then
  make_way()
end
load_meta()
guard_stall()
local status = identify(ARGV.node_id, ARGV.incarnation, '')
if status ~= 'ok' then
  return { status, 'stale', {} }
end
local key, version = schedule_type(ARGV.schedule)
local v = call('HMGET', key, 'next', 'paused')
if version ~= ARGV.version or v[1] ~= ARGV.slot or v[2] == '1' then
  return { status, 'stale', {} }
end
local results, added = {}, 0
if ARGV[ARGV.tasks.first] then
  results = add_tasks(ARGV.node_id, tonumber(ARGV.max_bytes), full)
  if results.err then
    return results
  end
  for _, result in ipairs(results) do
    if result < 0 then
      return { status, 'refused', results }
    end
    added = added + result
  end
  call('HMSET', key, 'last', ARGV.last, 'task', ARGV[#ARGV - ARGV.tasks.size + 1])
  call('HINCRBY', key, 'runs', added)
end
call('HSET', key, 'next', ARGV.next)
enter_slot(ARGV.schedule, ARGV.next, false)
return { status, 'done', results }
