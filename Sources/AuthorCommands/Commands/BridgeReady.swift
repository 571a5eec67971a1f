import Glibc
import JSONText
import Standalone

/// The line that tells where a bridge serves; one for each server of a file.
enum BridgeReady {
    static func print(_ ready: StandaloneBridge.Ready, _ configuration: StandaloneConfiguration, isJSON: Bool) {
        if isJSON { return Output.json(json(ready)) }
        for (server, settings) in zip(ready.servers, configuration.servers) {
            let subject = server.name ?? settings.command.first ?? ""
            if let tools = server.tools {
                Output.line("\(server.url) serves \(Count.text(tools, "tool")) of \(subject)")
            } else {
                let remedy = EraRemedy.text(server.reason ?? "").map { " (\($0))" } ?? ""
                Output.line("\(server.url) serves nothing of \(subject) yet: \(reason(server))\(remedy); it is started again when somebody calls")
            }
        }
    }

    private static func json(_ ready: StandaloneBridge.Ready) -> JSONValue {
        let head: [(String, JSONValue)] = [("event", "ready"), ("pid", .int(Int(getpid()))), ("port", .int(ready.port))]
        if let server = ready.servers.first, server.name == nil { return .object(JSONObject(head + members(server))) }
        let servers = ready.servers.map { server in
            JSONValue.object(JSONObject([("name", .string(server.name ?? ""))] + members(server)))
        }
        return .object(JSONObject(head + [("url", .string(ready.base)), ("servers", .array(servers))]))
    }

    private static func members(_ server: StandaloneBridge.Ready.Server) -> [(String, JSONValue)] {
        let tools: [(String, JSONValue)] = [("url", .string(server.url)), ("tools", server.tools.map { .int($0) } ?? .null)]
        return server.tools == nil ? tools + [("reason", .string(reason(server)))] : tools
    }

    /// Its first line: the server's last words have been shown as they came.
    private static func reason(_ server: StandaloneBridge.Ready.Server) -> String {
        Printable.line(server.reason?.split(separator: "\n").first.map(String.init) ?? "no reason given")
    }
}
