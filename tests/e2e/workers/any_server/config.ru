# Rack, without a gem.
run ->(env) {
  body = %({"pid":#{Process.pid},"peer":"#{env["REMOTE_ADDR"]}"})
  [200, { "Content-Type" => "application/json", "Content-Length" => body.bytesize.to_s }, [body]]
}
