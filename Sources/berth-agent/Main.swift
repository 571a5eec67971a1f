import NIOPosix
import COpenSSL
@main struct Main { static func main() { 
 let g = MultiThreadedEventLoopGroup(numberOfThreads: 1); print("agent", g, OpenSSL_version_num()) } }
