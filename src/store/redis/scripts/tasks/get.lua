-- task_get: reads one task. Changes nothing.
--
-- ARGV: task id
-- Returns: [skew, what, is, payload, error or '', result or '', has a result (1|0), ready at by the server's clock or 0, after, limit, origin
--   (each '' if it has none)]; a list of the skew alone when there is none
-- Atomic, because the parts of a task must belong to one moment, and its deadline to the returned skew.
load_meta()
local texts = redis.pcall('HMGET', TASK .. ARGV.id, 'what', 'is', 'payload', 'error', 'result', 'after', 'limit', 'origin')
if not texts[1] or not texts[2] then
  return { int(meta.skew) }
end
return { int(meta.skew), texts[1], texts[2], texts[3] or '', texts[4] or '', texts[5] or '', texts[5] and 1 or 0,
  scheduled_at(ARGV.id, texts[2]), texts[6] or '', texts[7] or '', texts[8] or '' }
