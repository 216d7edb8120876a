/*
 * A PKCS#11 module that misbehaves on demand. It hands every call on to the module
 * named by FAKEHSM_MODULE (SoftHSM), which does the cryptography, and adds what that one
 * never does: PINs that lock, a session limit, a token that is pulled out, calls that hang,
 * are slow, crash or fail.
 *
 * The file named by FAKEHSM_CONTROL is read at each call. Its lines:
 *
 *   removed          the token is not there
 *   invalidated N    when N changes, every session is gone
 *   sessions N       at most N sessions
 *   tries N          the PIN locks after N wrong ones; without it never
 *   stale            C_Login finds somebody logged in until C_Logout was called
 *   extractable      every key says that it may be read out
 *   twice            every object that is found is found a second time
 *   wrong-signature  signatures do not verify
 *   noisy            print to standard output and error
 *   CALL hang        CALL (such as C_Sign) never returns
 *   CALL slow MS     it takes so long
 *   CALL crash       it writes to address zero
 *   CALL exit        it ends the process
 *   CALL 0x32        it fails with this code
 *
 * The file with ".tries" appended counts wrong PINs as the token would, and the one with
 * ".calls" gets a line for each call of interest.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pkcs11go.h"

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST fake;
static CK_SLOT_ID used_slot;
static int sessions, generation, logged_out;

static FILE *open_beside(const char *suffix, const char *mode)
{
	char path[4096];
	snprintf(path, sizeof path, "%s%s", getenv("FAKEHSM_CONTROL"), suffix);
	return fopen(path, mode);
}

/* setting returns whether the control file has a line with the name, and what follows it. */
static int setting(const char *name, char *value, size_t size)
{
	char line[256];
	size_t n = strlen(name);
	int found = 0;
	FILE *f = open_beside("", "r");
	while (f && !found && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		found = !strncmp(line, name, n) && (line[n] == ' ' || !line[n]);
		if (found)
			snprintf(value, size, "%s", line[n] ? line + n + 1 : "");
	}
	if (f)
		fclose(f);
	return found;
}

static int number(const char *name, int otherwise)
{
	char value[64];
	return setting(name, value, sizeof value) ? atoi(value) : otherwise;
}

static int is_set(const char *name)
{
	char value[64];
	return setting(name, value, sizeof value);
}

static int wrong_pins(void)
{
	int n = 0;
	FILE *f = open_beside(".tries", "r");
	if (f) {
		if (fscanf(f, "%d", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n;
}

static void set_wrong_pins(int n)
{
	FILE *f = open_beside(".tries", "w");
	if (f) {
		fprintf(f, "%d\n", n);
		fclose(f);
	}
}

static void note(const char *call)
{
	FILE *f = open_beside(".calls", "a");
	if (f) {
		fprintf(f, "%s\n", call);
		fclose(f);
	}
}

/* drop_sessions does what a token does that loses power. */
static void drop_sessions(void)
{
	if (sessions > 0)
		real->C_CloseAllSessions(used_slot);
	sessions = 0;
}

/* misbehave applies the control file to one call. */
static CK_RV misbehave(const char *call)
{
	char value[64] = "";
	int now = number("invalidated", 0);
	note(call);
	if (now != generation || is_set("removed"))
		drop_sessions();
	generation = now;
	if (!setting(call, value, sizeof value))
		return CKR_OK;
	if (!strcmp(value, "hang"))
		for (;;)
			pause();
	if (!strncmp(value, "slow ", 5))
		usleep(1000 * (useconds_t)atoi(value + 5));
	if (!strcmp(value, "crash"))
		*(volatile int *)0 = 1;
	if (!strcmp(value, "exit"))
		_exit(3);
	return strncmp(value, "0x", 2) ? CKR_OK : strtoul(value, NULL, 16);
}

#define FAULTS(call) do { \
	CK_RV rv = misbehave(call); \
	if (rv != CKR_OK) \
		return rv; \
} while (0)

#define TOKEN_FAULTS(call) do { \
	FAULTS(call); \
	if (is_set("removed")) \
		return CKR_DEVICE_REMOVED; \
} while (0)

static CK_RV initialize(CK_VOID_PTR args)
{
	if (is_set("noisy")) {
		printf("fakehsm: loaded\n");
		fflush(stdout);
	}
	FAULTS("C_Initialize");
	return real->C_Initialize(args);
}

static CK_RV finalize(CK_VOID_PTR reserved)
{
	sessions = 0;
	return real->C_Finalize(reserved);
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count)
{
	FAULTS("C_GetSlotList");
	return real->C_GetSlotList(present, list, count);
}

static CK_RV get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	CK_RV rv = real->C_GetSlotInfo(slot, info);
	if (rv == CKR_OK && is_set("removed"))
		info->flags &= ~(CK_FLAGS)CKF_TOKEN_PRESENT;
	return rv;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV rv;
	int tries = number("tries", 0), wrong = wrong_pins();
	TOKEN_FAULTS("C_GetTokenInfo");
	rv = real->C_GetTokenInfo(slot, info);
	if (rv != CKR_OK || !tries)
		return rv;
	info->flags &= ~(CK_FLAGS)(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
	if (wrong > 0)
		info->flags |= CKF_USER_PIN_COUNT_LOW;
	if (wrong == tries - 1)
		info->flags |= CKF_USER_PIN_FINAL_TRY;
	if (wrong >= tries)
		info->flags |= CKF_USER_PIN_LOCKED;
	return rv;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR app, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session)
{
	CK_RV rv;
	TOKEN_FAULTS("C_OpenSession");
	if (sessions >= number("sessions", 1 << 20))
		return CKR_SESSION_COUNT;
	rv = real->C_OpenSession(slot, flags, app, notify, session);
	if (rv == CKR_OK) {
		used_slot = slot;
		sessions++;
	}
	return rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	CK_RV rv = real->C_CloseSession(session);
	if (rv == CKR_OK)
		sessions--;
	return rv;
}

static CK_RV get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
	TOKEN_FAULTS("C_GetSessionInfo");
	return real->C_GetSessionInfo(session, info);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG size)
{
	CK_RV rv;
	int tries = number("tries", 0);
	if (is_set("noisy"))
		fprintf(stderr, "panic: PIN %.*s\nSIGSEGV: PIN %.*s\n", (int)size, pin, (int)size, pin);
	TOKEN_FAULTS("C_Login");
	if (is_set("stale") && !logged_out)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (tries && wrong_pins() >= tries)
		return CKR_PIN_LOCKED;
	rv = real->C_Login(session, user, pin, size);
	if (rv == CKR_PIN_INCORRECT)
		set_wrong_pins(wrong_pins() + 1);
	if (rv == CKR_OK)
		set_wrong_pins(0);
	return rv;
}

static CK_RV logout(CK_SESSION_HANDLE session)
{
	logged_out = 1;
	note("C_Logout");
	return real->C_Logout(session);
}

static CK_RV find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR template, CK_ULONG count)
{
	TOKEN_FAULTS("C_FindObjectsInit");
	return real->C_FindObjectsInit(session, template, count);
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG max, CK_ULONG_PTR count)
{
	CK_RV rv = real->C_FindObjects(session, objects, max, count);
	if (rv == CKR_OK && *count == 1 && max > 1 && is_set("twice"))
		objects[(*count)++] = objects[0];
	return rv;
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR list, CK_ULONG count)
{
	CK_ULONG i;
	CK_RV rv = real->C_GetAttributeValue(session, object, list, count);
	for (i = 0; rv == CKR_OK && i < count; i++)
		if (list[i].type == CKA_EXTRACTABLE && list[i].pValue && is_set("extractable"))
			*(CK_BBOOL *)list[i].pValue = CK_TRUE;
	return rv;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	TOKEN_FAULTS("C_SignInit");
	return real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG size, CK_BYTE_PTR signature, CK_ULONG_PTR length)
{
	CK_RV rv;
	TOKEN_FAULTS("C_Sign");
	rv = real->C_Sign(session, data, size, signature, length);
	if (rv == CKR_OK && signature && is_set("wrong-signature"))
		signature[7] ^= 1;
	return rv;
}

static CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	TOKEN_FAULTS("C_EncryptInit");
	return real->C_EncryptInit(session, mechanism, key);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	CK_C_GetFunctionList get;
	void *module = dlopen(getenv("FAKEHSM_MODULE"), RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return CKR_GENERAL_ERROR;
	get = (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList");
	if (!get || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	fake = *real;
	fake.C_Initialize = initialize;
	fake.C_Finalize = finalize;
	fake.C_GetSlotList = get_slot_list;
	fake.C_GetSlotInfo = get_slot_info;
	fake.C_GetTokenInfo = get_token_info;
	fake.C_OpenSession = open_session;
	fake.C_CloseSession = close_session;
	fake.C_GetSessionInfo = get_session_info;
	fake.C_Login = login;
	fake.C_Logout = logout;
	fake.C_FindObjectsInit = find_init;
	fake.C_FindObjects = find;
	fake.C_GetAttributeValue = get_attributes;
	fake.C_SignInit = sign_init;
	fake.C_Sign = sign;
	fake.C_EncryptInit = encrypt_init;
	*list = &fake;
	return CKR_OK;
}
