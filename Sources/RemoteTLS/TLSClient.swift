import Glibc
public import NIOCore
import NIOSSL
public import Wire

/// TLS towards servers elsewhere: they prove who they are by a certificate, or nothing is sent to them.
///
/// A target of its own, because NIOSSL compiles BoringSSL, which must not reach the machine agent.
public struct TLSClient: ClientSecurity {
    private let context: NIOSSLContext

    /// - Parameter roots: a file of the certificates that are trusted, PEM; without it the system's.
    /// - Throws: `TLSFailure.roots`.
    public init(roots: String?) throws(TLSFailure) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let roots { configuration.trustRoots = .file(roots) }
        do {
            context = try NIOSSLContext(configuration: configuration)
        } catch {
            throw .roots
        }
    }

    public func handlers(host: String) throws -> [any ChannelHandler] {
        // A certificate for an address names it, and there is no server name to tell.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return [try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host), TLSFailureReader()]
    }
}

/// Turns the library's errors into words, while the connection still knows the server's certificate.
private final class TLSFailureReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate()
        context.fireErrorCaught(TLSFailure(error, certificate: certificate, now: time(nil)) ?? error)
    }
}
