-- task_get: reads one task. Changes nothing.
--
-- ARGV: 1 task id
-- Returns: [skew, what, is, payload, error or '', result or '', has a result (1|0), ready at by the server's clock or 0]; a list of the
--   skew alone when there is none
-- Atomic, because the parts of a task must belong to one moment, and its deadline to the returned skew.
load_meta()
local texts = redis.pcall('HMGET', TASK .. ARGV[1], 'what', 'is', 'payload', 'error', 'result')
if not texts[1] or not texts[2] then
  return { int(meta.skew) }
end
return { int(meta.skew), texts[1], texts[2], texts[3] or '', texts[4] or '', texts[5] or '', texts[5] and 1 or 0,
  scheduled_at(ARGV[1], texts[2]) }
