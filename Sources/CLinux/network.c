#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <pthread.h>
#include <resolv.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

void clinux_resolve_as_written(int on) {
    if (res_init() != 0) return;
    if (on) _res.options &= ~RES_DNSRCH;
}

// Every other function returns 0 or -errno.

static int bring_up_loopback(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    int result = ioctl(fd, SIOCGIFFLAGS, &request);
    if (result == 0) {
        request.ifr_flags |= IFF_UP;
        result = ioctl(fd, SIOCSIFFLAGS, &request);
    }
    int error = errno;
    close(fd);
    return result == 0 ? 0 : -error;
}

// `ip route add local default dev lo`: every address is one of this namespace's own.
static int make_everything_local(unsigned char family) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        struct rtattr attribute;
        unsigned int index;
    } request;
    memset(&request, 0, sizeof request);
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = RTM_NEWROUTE;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    request.route.rtm_family = family;
    request.route.rtm_table = RT_TABLE_LOCAL;
    request.route.rtm_protocol = RTPROT_BOOT;
    request.route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
    request.route.rtm_type = RTN_LOCAL;
    request.attribute.rta_type = RTA_OIF;
    request.attribute.rta_len = RTA_LENGTH(sizeof request.index);
    request.index = if_nametoindex("lo");
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer;
    int result;
    if (send(fd, &request, sizeof request, 0) < 0) {
        result = -errno;
    } else {
        ssize_t count;
        do count = recv(fd, &answer, sizeof answer, 0);
        while (count < 0 && errno == EINTR);
        if (count < 0) result = -errno;
        else if ((size_t)count < sizeof answer.header + sizeof answer.error.error || answer.header.nlmsg_type != NLMSG_ERROR) result = -EPROTO;
        else result = answer.error.error;
    }
    close(fd);
    return result;
}

// The agent is root of a user namespace that does not own this one: to it, too, ports below 1024 are closed otherwise.
static int open_low_ports(void) {
    int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int result = write(fd, "0", 1) == 1 ? 0 : -errno;
    close(fd);
    return result;
}

struct outcome {
    int everything;
    int result;
    const char *step;
};

static void *make_network(void *argument) {
    struct outcome *outcome = argument;
    outcome->step = "unshare CLONE_NEWNET";
    if (unshare(CLONE_NEWNET) < 0) {
        outcome->result = -errno;
        return NULL;
    }
    outcome->step = "bring up lo";
    if ((outcome->result = bring_up_loopback()) < 0) return NULL;
    if (outcome->everything) {
        outcome->step = "local default dev lo";
        if ((outcome->result = make_everything_local(AF_INET)) < 0) return NULL;
        // Not every kernel has IPv6, or has it on; without this route its addresses are unreachable, which is a refusal too.
        (void)make_everything_local(AF_INET6);
    }
    outcome->step = "ip_unprivileged_port_start";
    if ((outcome->result = open_low_ports()) < 0) return NULL;
    outcome->step = "open its descriptor";
    outcome->result = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (outcome->result < 0) outcome->result = -errno;
    return NULL;
}

int clinux_local_network(int everything, const char **step) {
    struct outcome outcome = {everything, -EAGAIN, "start a thread"};
    // A thread of its own enters the namespace and ends in it: no other one can be left behind in there.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, make_network, &outcome);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) pthread_join(thread, NULL);
    else outcome.result = -error;
    *step = outcome.step;
    return outcome.result;
}
