/// Where a machine's HTTP server is to be found: a port of the loopback device, and the path of its MCP endpoint.
struct ServerPlace: Equatable {
    var port: Int
    var path: String

    func url(host: String) -> String { "http://\(host.contains(":") ? "[\(host)]" : host):\(port)\(path)" }
}
