import ArgumentParser
import RemoteClient
import Standalone

/// `berth connect`
struct Connect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Be a STDIO server in front of an MCP URL, for clients that speak only STDIO.",
        discussion: """
            Both protocol eras on both sides. Standard output carries the protocol and nothing else. Ends with the end of standard input, \
            INT, TERM or HUP, and deletes its session. The token comes from --token-file or BERTH_TOKEN, so that no client's configuration and \
            no process list shows it. An https URL's certificate is held against this host's authorities, or those in SSL_CERT_FILE.
            """)
    @Argument(help: "MCP URL, for example http://127.0.0.1:8787/v/office/mcp.") var url: String
    @Option(help: ArgumentHelp("File with the bearer token (else the environment variable BERTH_TOKEN).", valueName: "file")) var tokenFile: String?

    func run() async throws {
        let target = try ServerTarget([url], command: nil, names: [])
        guard case .url(let address) = target.place else { return }
        let log = ServerLog(isShown: true)
        let token = try ServerOptions.token(tokenFile)
        let connection = StandaloneConnect(
            address, token: token, security: try address.security(),
            explain: { Unreached($0, status: $1, address: address, name: address.url, hasToken: token != nil).told }, log: { log.note($0) })
        let interrupted = Interruption { connection.stop() }
        await connection.run()
        log.flush()
        if interrupted.cameAs != 0 { throw ExitCode(0) }
    }
}
