-- task_submit: adds tasks. An existing task with the same id is unchanged; if this same submission added it, that counts as success.
--
-- ARGV: node id, incarnation, bytes that tasks may take, then per task: id, kind, requirements (canonical JSON or ''), priority,
--   delay (ms), attempts at most, timeout (ms), payload, the submission's nonce, ids that must be done first (separated by spaces) or '',
--   "<at most> <concurrency key>" or '', "<schedule id> <slot, server time>" or ''
-- Returns: [status, results]; a result per task: 1 added, now or earlier with this nonce, 0 there is another one of this id,
--   -1 its kind has too many lanes, -2 tasks take too many bytes, though done and failed ones made room, -3 too many wait for one of
--   the tasks that must be done first, -100 - n: the n-th of those (from 0) is unknown
-- Atomic, because two submissions of one id must not both find it free, and because a task must lie in its lane.
local full = is_full()
if full then
  make_way()
end
load_meta()
guard_stall()
local status = identify(ARGV.node_id, ARGV.incarnation, '')
if status ~= 'ok' then
  return { status, {} }
end
local results = add_tasks(ARGV.node_id, tonumber(ARGV.max_bytes), full)
if results.err then
  return results
end
return { status, results }
